using System;
using System.Threading;
using System.Threading.Tasks;
using Google.Protobuf;
using UnityEngine.Networking;

namespace Metabridge.Transport
{
    /// <summary>
    /// Reads an answer as it arrives and hands out its messages, each when the one before is taken. What that throws is kept:
    /// an exception must not pass through the engine.
    /// </summary>
    sealed class FrameDownload<TResponse> : DownloadHandlerScript
        where TResponse : class, IMessage<TResponse>
    {
        readonly Func<TResponse, Task> onMessage;
        readonly CancellationToken cancellation;
        Task taking = Task.CompletedTask;

        internal AnswerReader<TResponse> Reader { get; }

        internal Exception Error { get; private set; }

        /// <summary>Whether every message that has arrived is taken.</summary>
        internal bool IsTaken { get; private set; } = true;

        internal FrameDownload(AnswerReader<TResponse> reader, Func<TResponse, Task> onMessage, CancellationToken cancellation)
        {
            Reader = reader;
            this.onMessage = onMessage;
            this.cancellation = cancellation;
        }

        protected override bool ReceiveData(byte[] data, int dataLength)
        {
            if (Error != null || data == null) return false;
            try
            {
                Reader.Append(data, dataLength);
            }
            catch (Exception error)
            {
                Error = error;
                return false;
            }
            Deliver();
            return Error == null;
        }

        /// <summary>Hands out what has arrived as far as it is taken; true when nothing is left.</summary>
        internal bool Deliver()
        {
            try
            {
                IsTaken = Error == null && HandOut();
            }
            catch (Exception error)
            {
                Error = error;
            }
            return IsTaken;
        }

        bool HandOut()
        {
            while (taking.IsCompleted && !cancellation.IsCancellationRequested)
            {
                taking.GetAwaiter().GetResult();
                if (!Reader.TryRead(out var message)) return true;
                taking = onMessage(message);
            }
            return false;
        }
    }
}
