using Metabridge.V1;

namespace Metabridge
{
    /// <summary>
    /// One avatar's picture in sRGB. RGBA8 data has its bottom row first and straight alpha, and loads with
    /// Texture2D.LoadRawTextureData into a texture of this size in TextureFormat.RGBA32; PNG and JPEG data load with
    /// ImageConversion.LoadImage.
    /// </summary>
    public sealed class AvatarImage
    {
        public ulong Seed { get; }

        public int Width { get; }

        public int Height { get; }

        /// <summary>Number of mip levels in the data, largest first; 1 means the full size alone.</summary>
        public int MipLevels { get; }

        public ImageFormat Format { get; }

        public byte[] Data { get; }

        /// <summary>Its styles, before the controls; null unless they were asked for.</summary>
        public AvatarStyles Styles { get; }

        /// <summary>The model, its version and the execution provider that made it.</summary>
        public ServedBy Model { get; }

        internal AvatarImage(Avatar avatar, byte[] data, ServedBy model)
        {
            Seed = avatar.Seed;
            Width = (int)avatar.Image.WidthPx;
            Height = (int)avatar.Image.HeightPx;
            MipLevels = (int)avatar.Image.MipLevels;
            Format = avatar.Image.Format;
            Data = data;
            Styles = AvatarStyles.Of(avatar);
            Model = model;
        }
    }
}
