using System.Collections.Generic;
using System.Threading.Tasks;

namespace Metabridge.Internal
{
    /// <summary>A frame that waits to be shown or is shown.</summary>
    public sealed class BufferedFrame
    {
        /// <summary>The pixels; it is used again for a later frame of the same size.</summary>
        public byte[] Data { get; private set; } = new byte[0];

        public int Index { get; private set; }

        /// <summary>When it is due.</summary>
        public double Seconds { get; private set; }

        public int Width { get; private set; }

        public int Height { get; private set; }

        internal void Fill(AvatarFrame frame, double offset)
        {
            if (Data.Length != frame.ByteCount) Data = new byte[frame.ByteCount];
            frame.CopyTo(Data);
            Index = frame.Index;
            Seconds = frame.Seconds + offset;
            Width = frame.Width;
            Height = frame.Height;
        }
    }

    /// <summary>
    /// The few frames of a morph that are there before they are due. One thread adds, another takes; the adding one waits while it
    /// is full. Frames of one size share the same few arrays.
    /// </summary>
    public sealed class FrameBuffer
    {
        readonly object gate = new object();
        readonly Queue<BufferedFrame> waiting = new Queue<BufferedFrame>();
        readonly Stack<BufferedFrame> free = new Stack<BufferedFrame>();
        readonly int capacity;
        BufferedFrame shown = new BufferedFrame();
        TaskCompletionSource<bool> room;

        public FrameBuffer(int capacity)
        {
            this.capacity = capacity;
            for (int i = 0; i < capacity; i++) free.Push(new BufferedFrame());
        }

        /// <summary>When the frame after the last one that was added is due.</summary>
        public double End { get; private set; }

        public int Count
        {
            get
            {
                lock (gate) return waiting.Count;
            }
        }

        /// <summary>
        /// Copies a frame that is due <paramref name="offset"/> seconds later than it says and lasts <paramref name="length"/>
        /// seconds; the task is done when there is room for the next.
        /// </summary>
        public Task Add(AvatarFrame frame, double offset, double length)
        {
            lock (gate)
            {
                var slot = free.Count > 0 ? free.Pop() : new BufferedFrame();
                slot.Fill(frame, offset);
                waiting.Enqueue(slot);
                End = slot.Seconds + length;
                if (waiting.Count < capacity) return Task.CompletedTask;
                room = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
                return room.Task;
            }
        }

        /// <summary>Takes the newest frame that is due, or null; it stays as it is until the next one is taken.</summary>
        public BufferedFrame Take(double seconds)
        {
            lock (gate)
            {
                bool isTaken = false;
                for (; waiting.Count > 0 && waiting.Peek().Seconds <= seconds; isTaken = true)
                {
                    free.Push(shown);
                    shown = waiting.Dequeue();
                }
                if (isTaken) MakeRoom();
                return isTaken ? shown : null;
            }
        }

        /// <summary>Forgets the frames that wait.</summary>
        public void Clear()
        {
            lock (gate)
            {
                while (waiting.Count > 0) free.Push(waiting.Dequeue());
                MakeRoom();
            }
        }

        void MakeRoom()
        {
            room?.TrySetResult(true);
            room = null;
        }
    }
}
