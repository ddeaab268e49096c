using System;
using Google.Protobuf;
using Metabridge.V1;

namespace Metabridge
{
    /// <summary>A picture to find an avatar for; the square in its middle counts.</summary>
    public sealed class AvatarPicture
    {
        readonly ByteString file;
        readonly Image pixels;

        AvatarPicture(ByteString file, Image pixels)
        {
            this.file = file;
            this.pixels = pixels;
        }

        /// <summary>Takes the bytes of a PNG, JPEG, WebP, BMP or GIF file.</summary>
        public static AvatarPicture FromFile(byte[] file)
        {
            return new AvatarPicture(ByteString.CopyFrom(file), null);
        }

        /// <summary>
        /// Takes RGBA8 pixels with straight alpha, rows without padding, the bottom row first as Unity's textures have them unless
        /// said otherwise. ArgumentException when there are fewer bytes than the size wants.
        /// </summary>
        public static AvatarPicture FromRgba8(byte[] rgba, int width, int height, RowOrigin rowOrigin = RowOrigin.BottomLeft)
        {
            long size = 4L * width * height;
            if (width < 1 || height < 1 || rgba.LongLength < size)
            {
                string message = rgba.Length + " bytes for " + width + " x " + height + " pixels, expected " + size;
                throw new ArgumentException(message, nameof(rgba));
            }
            return new AvatarPicture(null, new Image
            {
                Format = ImageFormat.Rgba8,
                RowOrigin = rowOrigin,
                WidthPx = (uint)width,
                HeightPx = (uint)height,
                MipLevels = 1,
                Data = ByteString.CopyFrom(rgba, 0, (int)size),
            });
        }

        internal void Fill(ProjectAvatarRequest request)
        {
            if (file != null) request.File = file;
            else request.Pixels = pixels;
        }
    }
}
