using System;
using System.IO;
using Google.Protobuf;
using Metabridge.Transport;

namespace Metabridge.Internal
{
    /// <summary>Puts the data of one image after another together; the memory for large ones is used again.</summary>
    public sealed class ImageChunks
    {
        readonly MemoryStream joined = new MemoryStream();
        ByteString single;
        uint next;

        /// <summary>Number of bytes of the whole image.</summary>
        public int ByteCount => single != null ? single.Length : (int)joined.Length;

        /// <summary>Takes a chunk; true when the image is whole, until the next chunk. RpcException for one out of order.</summary>
        public bool Add(ByteString data, uint index, uint count)
        {
            if (index != next || index >= count)
            {
                string message = "chunk " + index + " of " + count + " arrives, expected chunk " + next;
                throw new RpcException(StatusCode.Internal, message + "; check that both sides use the same contract");
            }
            single = count == 1 ? data : null;
            if (single != null) return true;
            if (index == 0) joined.SetLength(0);
            data.WriteTo(joined);
            next = index + 1 == count ? 0 : index + 1;
            return next == 0;
        }

        /// <summary>Copies the whole image to the beginning of an array.</summary>
        public void CopyTo(byte[] target)
        {
            if (single != null) single.CopyTo(target, 0);
            else Buffer.BlockCopy(joined.GetBuffer(), 0, target, 0, (int)joined.Length);
        }

        /// <summary>Returns the whole image in an array of its own.</summary>
        public byte[] ToArray()
        {
            return single != null ? single.ToByteArray() : joined.ToArray();
        }
    }
}
