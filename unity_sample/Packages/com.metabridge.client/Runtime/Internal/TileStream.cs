using System;
using System.Collections.Generic;
using System.Threading;
using System.Threading.Tasks;

namespace Metabridge.Internal
{
    /// <summary>
    /// Tiles of one streaming call on their way from the transport's thread to the game's, which takes them one by one. While a few
    /// wait, no more are read.
    /// </summary>
    public sealed class TileStream
    {
        const int Capacity = 3;

        readonly object gate = new object();
        readonly Queue<TerrainTile> waiting = new Queue<TerrainTile>();
        readonly CancellationTokenSource cancellation = new CancellationTokenSource();
        readonly Task call;
        TaskCompletionSource<bool> room;
        bool isStopped;

        /// <summary>Begins a call, which hands each tile to the function that it is given and ends when the token says so.</summary>
        public TileStream(Func<Func<TerrainTile, Task>, CancellationToken, Task> begin)
        {
            call = begin(Add, cancellation.Token);
        }

        /// <summary>Whether no tile waits and none will come.</summary>
        public bool IsEnded
        {
            get
            {
                bool isDone = call.IsCompleted; // before the look at the queue: the last tile comes before the end
                lock (gate) return isDone && waiting.Count == 0;
            }
        }

        /// <summary>Why the call failed; null while it goes on and after a good end.</summary>
        public Exception Error
        {
            get
            {
                if (!call.IsFaulted && !call.IsCanceled) return null;
                return call.Exception?.GetBaseException() ?? new OperationCanceledException();
            }
        }

        /// <summary>Takes the tile that has waited longest, or null.</summary>
        public TerrainTile Take()
        {
            lock (gate)
            {
                if (waiting.Count == 0) return null;
                var tile = waiting.Dequeue();
                MakeRoom();
                return tile;
            }
        }

        /// <summary>Ends the call; tiles that wait or are on their way are forgotten.</summary>
        public void Stop()
        {
            lock (gate)
            {
                isStopped = true;
                waiting.Clear();
                MakeRoom();
            }
            cancellation.Cancel();
            call.ContinueWith(ended => ended.Exception, TaskContinuationOptions.OnlyOnFaulted); // somebody has looked at it
        }

        Task Add(TerrainTile tile)
        {
            lock (gate)
            {
                if (isStopped) return Task.CompletedTask;
                waiting.Enqueue(tile);
                if (waiting.Count < Capacity) return Task.CompletedTask;
                room = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
                return room.Task;
            }
        }

        void MakeRoom()
        {
            room?.TrySetResult(true);
            room = null;
        }
    }
}
