using System.Collections.Generic;
using System.IO;
using System.Net;
using System.Net.Http;
using System.Net.Http.Headers;
using System.Threading;
using System.Threading.Tasks;

namespace Metabridge.Transport
{
    /// <summary>A request's body that is written frame by frame while the answer is read.</summary>
    sealed class FrameContent : HttpContent
    {
        readonly object gate = new object();
        readonly Queue<KeyValuePair<byte[], TaskCompletionSource<bool>>> frames =
            new Queue<KeyValuePair<byte[], TaskCompletionSource<bool>>>();
        readonly SemaphoreSlim waiting = new SemaphoreSlim(0);
        bool isEnded;

        internal FrameContent()
        {
            Headers.ContentType = new MediaTypeHeaderValue("application/grpc");
        }

        /// <summary>Sends a frame; the task is done when it was handed to the connection, or will never be.</summary>
        internal Task WriteAsync(byte[] frame)
        {
            var sent = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
            lock (gate)
            {
                if (isEnded) return Task.CompletedTask;
                frames.Enqueue(new KeyValuePair<byte[], TaskCompletionSource<bool>>(frame, sent));
            }
            waiting.Release();
            return sent.Task;
        }

        /// <summary>Ends the body after the frames that were given before.</summary>
        internal void End()
        {
            lock (gate) isEnded = true;
            waiting.Release();
        }

        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext context)
        {
            try
            {
                while (true)
                {
                    await waiting.WaitAsync().ConfigureAwait(false);
                    if (!TryTake(out var next)) return;
                    await Send(stream, next).ConfigureAwait(false);
                }
            }
            finally
            {
                GiveUp();
            }
        }

        protected override bool TryComputeLength(out long length)
        {
            length = -1;
            return false;
        }

        protected override void Dispose(bool disposing)
        {
            GiveUp();
            base.Dispose(disposing);
        }

        // Done as well when the connection was cut meanwhile: a frame that was taken is no longer among those that GiveUp ends.
        static async Task Send(Stream stream, KeyValuePair<byte[], TaskCompletionSource<bool>> frame)
        {
            try
            {
                await stream.WriteAsync(frame.Key, 0, frame.Key.Length).ConfigureAwait(false);
                await stream.FlushAsync().ConfigureAwait(false);
            }
            finally
            {
                frame.Value.TrySetResult(true);
            }
        }

        bool TryTake(out KeyValuePair<byte[], TaskCompletionSource<bool>> next)
        {
            lock (gate)
            {
                next = frames.Count > 0 ? frames.Dequeue() : default;
                return next.Key != null;
            }
        }

        /// <summary>Takes no more frames. Whoever waits for one that will not be sent reads why from the answer.</summary>
        internal void GiveUp()
        {
            lock (gate)
            {
                isEnded = true;
                while (frames.Count > 0) frames.Dequeue().Value.TrySetResult(false);
            }
        }
    }
}
