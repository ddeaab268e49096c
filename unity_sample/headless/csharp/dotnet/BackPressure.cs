using System;
using System.Collections.Generic;
using System.IO;
using System.Net;
using System.Net.Http;
using System.Threading;
using System.Threading.Tasks;
using Google.Protobuf;
using Metabridge.Internal;
using Metabridge.Transport;
using Metabridge.V1;

namespace Metabridge.Headless
{
    /// <summary>Checks that nothing is read while messages are not taken, on an endless answer that counts how much was read.</summary>
    static class BackPressure
    {
        const int MessageBytes = 100 << 10;

        internal static async Task Run(Action<string, string> report)
        {
            report("reads while a message is not taken", await WhileNotTaken());
            report("a full buffer", FullBuffer());
            report("chunks out of order", OutOfOrder());
        }

        static async Task<string> WhileNotTaken()
        {
            var body = new EndlessFrames();
            using (var transport = new HttpClientTransport("http://sidecar", new Answering(body)))
            using (var source = new CancellationTokenSource())
            {
                var given = new SemaphoreSlim(0);
                var taken = new TaskCompletionSource<bool>();
                var seen = new List<int>();
                var morph = new MorphSettings();
                var call = new AvatarClient(transport).MorphAsync(new[] { 1UL }, new AvatarSettings(), morph, frame =>
                {
                    seen.Add(frame.Index);
                    given.Release();
                    return frame.Index == 1 ? taken.Task : frame.Index == 3 ? new TaskCompletionSource<bool>().Task : Task.CompletedTask;
                }, new CallOptions(null, source.Token));
                for (int i = 0; i < 2; i++) await given.WaitAsync();
                long before = body.BytesRead;
                await Task.Delay(200);
                bool hasWaited = body.BytesRead == before && seen.Count == 2 && before < 4 * MessageBytes;
                taken.SetResult(true);
                for (int i = 0; i < 2; i++) await given.WaitAsync();
                source.Cancel();
                string end = await AvatarCalls.Failure(() => call);
                return (hasWaited ? "none" : body.BytesRead - before + " bytes") + " then " + string.Join(",", seen) + " then " + end.Split('|')[0];
            }
        }

        static string FullBuffer()
        {
            var buffer = new FrameBuffer(3);
            var said = new List<string>();
            var adding = new List<Task>();
            var chunks = new ImageChunks();
            foreach (int index in new[] { 0, 1, 2 })
            {
                var message = Frame(index);
                chunks.Add(message.Avatar.Image.Data, 0, 1);
                adding.Add(buffer.Add(new AvatarFrame(message, chunks), 10.0, 0.5));
            }
            foreach (var task in adding) said.Add(task.IsCompleted ? "room" : "full");
            said.Add(buffer.Take(9.9) == null ? "early" : "late");
            var shown = buffer.Take(10.6);
            said.Add(shown.Index + "@" + shown.Seconds.ToString("0.0"));
            said.Add(adding[2].IsCompleted ? "room" : "full");
            said.Add(buffer.Count + " left");
            said.Add(buffer.End.ToString("0.0"));
            buffer.Clear();
            said.Add(buffer.Take(99.0) == null ? "empty" : "more");
            return string.Join(" ", said);
        }

        static string OutOfOrder()
        {
            var chunks = new ImageChunks();
            var data = ByteString.CopyFrom(1, 2);
            bool isWhole = chunks.Add(data, 0, 2);
            isWhole |= !chunks.Add(data, 1, 2) || chunks.ToArray().Length != 4;
            chunks.Add(data, 0, 3);
            try
            {
                chunks.Add(data, 2, 3);
                return "taken";
            }
            catch (RpcException error)
            {
                return isWhole ? "not put together" : error.Message;
            }
        }

        internal static MorphAvatarResponse Frame(int index)
        {
            var image = new Image { WidthPx = 160, HeightPx = 160, Data = ByteString.CopyFrom(new byte[MessageBytes]) };
            return new MorphAvatarResponse
            {
                FrameIndex = (uint)index,
                TimeSeconds = 0.5 * index,
                Avatar = new Avatar { Image = image },
                ChunkCount = 1,
            };
        }

        sealed class Answering : HttpMessageHandler
        {
            readonly Stream body;

            internal Answering(Stream body)
            {
                this.body = body;
            }

            protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken token)
            {
                return Task.FromResult(new HttpResponseMessage(HttpStatusCode.OK) { Content = new StreamContent(body) });
            }
        }

        sealed class EndlessFrames : Stream
        {
            byte[] frame = new byte[0];
            int place;
            int index;

            internal long BytesRead { get; private set; }

            public override bool CanRead => true;

            public override bool CanSeek => false;

            public override bool CanWrite => false;

            public override long Length => throw new NotSupportedException();

            public override long Position { get => BytesRead; set => throw new NotSupportedException(); }

            public override int Read(byte[] buffer, int offset, int count)
            {
                if (place == frame.Length)
                {
                    frame = GrpcFrames.Encode(Frame(index++));
                    place = 0;
                }
                int length = Math.Min(count, frame.Length - place);
                Buffer.BlockCopy(frame, place, buffer, offset, length);
                place += length;
                BytesRead += length;
                return length;
            }

            public override void Flush()
            {
            }

            public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

            public override void SetLength(long value) => throw new NotSupportedException();

            public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
        }
    }
}
