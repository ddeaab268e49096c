using System;
using System.IO;
using Google.Protobuf;

namespace Metabridge.Transport
{
    /// <summary>gRPC's framing: a flag byte, a big-endian length of four bytes, and that many bytes of message.</summary>
    public static class GrpcFrames
    {
        public const int HeaderSize = 5;

        /// <summary>Size of the largest message that a transport takes unless told otherwise.</summary>
        public const int DefaultMaxMessageBytes = 64 << 20;

        /// <summary>Returns a message in its frame.</summary>
        public static byte[] Encode(IMessage message)
        {
            int size = message.CalculateSize();
            var frame = new byte[HeaderSize + size];
            for (int i = 0; i < 4; i++) frame[1 + i] = (byte)(size >> 8 * (3 - i));
            using (var body = new MemoryStream(frame, HeaderSize, size)) message.WriteTo(body);
            return frame;
        }
    }

    /// <summary>Cuts the bytes of an answer, in whatever pieces they arrive, into frames.</summary>
    public sealed class FrameReader
    {
        readonly int maxBytes;
        byte[] pending = new byte[256];
        int count;

        public FrameReader(int maxBytes)
        {
            this.maxBytes = maxBytes;
        }

        /// <summary>Whether bytes of an unfinished frame are left.</summary>
        public bool IsInsideFrame => count > 0;

        public void Append(byte[] data, int length)
        {
            if (count + length > pending.Length) Array.Resize(ref pending, Math.Max(count + length, 2 * pending.Length));
            Buffer.BlockCopy(data, 0, pending, count, length);
            count += length;
        }

        /// <summary>Takes the next whole frame; false when more bytes are needed.</summary>
        public bool TryRead(out byte flags, out byte[] payload)
        {
            flags = 0;
            payload = null;
            if (count < GrpcFrames.HeaderSize) return false;
            uint size = (uint)(pending[1] << 24 | pending[2] << 16 | pending[3] << 8 | pending[4]);
            if (size > maxBytes)
            {
                string message = "a message of " + size + " bytes arrives, at most " + maxBytes + " are taken; ask for less";
                throw new RpcException(StatusCode.ResourceExhausted, message);
            }
            int end = GrpcFrames.HeaderSize + (int)size;
            if (count < end) return false;
            flags = pending[0];
            payload = new byte[size];
            Buffer.BlockCopy(pending, GrpcFrames.HeaderSize, payload, 0, (int)size);
            Buffer.BlockCopy(pending, end, pending, 0, count - end);
            count -= end;
            return true;
        }
    }
}
