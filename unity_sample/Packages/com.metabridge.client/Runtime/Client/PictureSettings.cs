using Metabridge.V1;

namespace Metabridge
{
    /// <summary>Which model encodes and decodes pictures, and how they come; the defaults are what a texture wants.</summary>
    public sealed class PictureSettings
    {
        /// <summary>Name of the model; required.</summary>
        public string Model { get; set; } = "";

        /// <summary>Version of the model; 0 is the latest.</summary>
        public int Version { get; set; }

        /// <summary>How the pixels come; RGBA8 comes with the bottom row first.</summary>
        public ImageFormat Format { get; set; } = ImageFormat.Rgba8;

        /// <summary>Width and height in pixels, a power of two from 8 to 4096; 0 is the model's own size.</summary>
        public int Size { get; set; }

        /// <summary>Number of mip levels; more than 1 is for RGBA8 alone.</summary>
        public int MipLevels { get; set; } = 1;

        internal ModelSelector Selector()
        {
            return ModelClient.Selector(Model, Version);
        }

        internal ImageSpec ImageSpec()
        {
            return new ImageSpec
            {
                Format = Format,
                RowOrigin = Format == ImageFormat.Rgba8 ? RowOrigin.BottomLeft : RowOrigin.TopLeft,
                SizePx = checked((uint)Size),
                MipLevels = checked((uint)MipLevels),
            };
        }
    }
}
