using Metabridge.Internal;
using Metabridge.V1;

namespace Metabridge
{
    /// <summary>One frame of a morph. It holds until the task of the callback that it was given to is done.</summary>
    public readonly struct AvatarFrame
    {
        readonly MorphAvatarResponse message;
        readonly ImageChunks chunks;

        /// <summary>Place of the frame in the morph, from 0.</summary>
        public int Index => (int)message.FrameIndex;

        /// <summary>Number of frames of the morph.</summary>
        public int Count => (int)message.FrameCount;

        /// <summary>Time of the frame from the beginning of the morph.</summary>
        public double Seconds => message.TimeSeconds;

        public int Width => (int)message.Avatar.Image.WidthPx;

        public int Height => (int)message.Avatar.Image.HeightPx;

        /// <summary>Number of bytes of the pixels or the file.</summary>
        public int ByteCount => chunks.ByteCount;

        /// <summary>Views an answer whose chunks have been put together.</summary>
        public AvatarFrame(MorphAvatarResponse message, ImageChunks chunks)
        {
            this.message = message;
            this.chunks = chunks;
        }

        /// <summary>Copies the pixels or the file to the beginning of an array of the caller's.</summary>
        public void CopyTo(byte[] target)
        {
            chunks.CopyTo(target);
        }

        /// <summary>Returns a picture of its own, which may be kept.</summary>
        public AvatarImage ToImage()
        {
            return new AvatarImage(message.Avatar, chunks.ToArray(), message.Model);
        }
    }
}
