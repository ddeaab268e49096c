using Metabridge.V1;

namespace Metabridge
{
    /// <summary>
    /// A picture in sRGB that codes stand for. RGBA8 data has its bottom row first and loads with Texture2D.LoadRawTextureData into a
    /// texture of this size in TextureFormat.RGBA32; PNG and JPEG data load with ImageConversion.LoadImage.
    /// </summary>
    public sealed class DecodedPicture
    {
        public int Width { get; }

        public int Height { get; }

        /// <summary>Number of mip levels in the data, largest first; 1 means the full size alone.</summary>
        public int MipLevels { get; }

        public ImageFormat Format { get; }

        public byte[] Data { get; }

        /// <summary>The model, its version and the execution provider that made it.</summary>
        public ServedBy Model { get; }

        internal DecodedPicture(Image image, ServedBy model)
        {
            Width = (int)image.WidthPx;
            Height = (int)image.HeightPx;
            MipLevels = (int)image.MipLevels;
            Format = image.Format;
            Data = image.Data.ToByteArray();
            Model = model;
        }
    }
}
