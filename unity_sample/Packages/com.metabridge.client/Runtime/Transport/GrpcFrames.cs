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
        const long SmallestLimit = 1 << 20;

        readonly int maxBytes;
        byte[] pending = new byte[256];
        int start;
        int count;

        public FrameReader(int maxBytes)
        {
            this.maxBytes = maxBytes;
        }

        /// <summary>Whether bytes of an unfinished frame are left.</summary>
        public bool IsInsideFrame => count > 0;

        /// <summary>Takes bytes in; RpcException when more are left unread than two of the largest messages have.</summary>
        public void Append(byte[] data, int length)
        {
            if ((long)count + length > Math.Max(2L * maxBytes, SmallestLimit))
            {
                string message = count + " bytes wait to be read and " + length + " more arrive; take the messages faster";
                throw new RpcException(StatusCode.ResourceExhausted, message);
            }
            MakeRoom(length);
            Buffer.BlockCopy(data, 0, pending, start + count, length);
            count += length;
        }

        /// <summary>Takes the next whole frame; false when more bytes are needed.</summary>
        public bool TryRead(out byte flags, out byte[] payload)
        {
            flags = 0;
            payload = null;
            if (count < GrpcFrames.HeaderSize) return false;
            uint size = (uint)(pending[start + 1] << 24 | pending[start + 2] << 16 | pending[start + 3] << 8 | pending[start + 4]);
            if (size > maxBytes)
            {
                string message = "a message of " + size + " bytes arrives, at most " + maxBytes + " are taken; ask for less";
                throw new RpcException(StatusCode.ResourceExhausted, message);
            }
            int end = GrpcFrames.HeaderSize + (int)size;
            if (count < end) return false;
            flags = pending[start];
            payload = new byte[size];
            Buffer.BlockCopy(pending, start + GrpcFrames.HeaderSize, payload, 0, (int)size);
            count -= end;
            start = count == 0 ? 0 : start + end;
            return true;
        }

        void MakeRoom(int length)
        {
            if (start + count + length <= pending.Length) return;
            var target = count + length > pending.Length ? new byte[Math.Max(count + length, 2 * pending.Length)] : pending;
            Buffer.BlockCopy(pending, start, target, 0, count);
            pending = target;
            start = 0;
        }
    }
}
