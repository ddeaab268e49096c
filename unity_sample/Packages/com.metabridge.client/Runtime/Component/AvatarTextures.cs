using UnityEngine;

namespace Metabridge
{
    /// <summary>Pictures as Unity's textures.</summary>
    public static class AvatarTextures
    {
        /// <summary>Pixels of the longer side of a picture that is sent; one of this size takes 1 MiB.</summary>
        const int LongestSide = 512;

        /// <summary>
        /// Returns a texture's pixels as a picture to find an avatar for; it has to be readable. Those of a large one are averaged
        /// in blocks, so that the picture fits into one message.
        /// </summary>
        public static AvatarPicture ToPicture(this Texture2D texture)
        {
            int block = (Mathf.Max(texture.width, texture.height) + LongestSide - 1) / LongestSide;
            int width = Mathf.Max(1, texture.width / block), height = Mathf.Max(1, texture.height / block);
            var pixels = texture.GetPixels32();
            var rgba = new byte[4 * width * height];
            for (int y = 0; y < height; y++)
            {
                for (int x = 0; x < width; x++)
                {
                    var pixel = Average(pixels, texture.width, x * block, y * block, block);
                    int place = 4 * (y * width + x);
                    rgba[place] = pixel.r;
                    rgba[place + 1] = pixel.g;
                    rgba[place + 2] = pixel.b;
                    rgba[place + 3] = pixel.a;
                }
            }
            return AvatarPicture.FromRgba8(rgba, width, height);
        }

        // Colours are weighted with their alpha. What lies outside, in a texture narrower than a block, is left out.
        static Color32 Average(Color32[] pixels, int stride, int left, int bottom, int block)
        {
            if (block == 1) return pixels[bottom * stride + left];
            int red = 0, green = 0, blue = 0, alpha = 0, count = 0;
            for (int y = bottom; y < Mathf.Min(bottom + block, pixels.Length / stride); y++)
            {
                for (int x = left; x < Mathf.Min(left + block, stride); x++, count++)
                {
                    var pixel = pixels[y * stride + x];
                    red += pixel.r * pixel.a;
                    green += pixel.g * pixel.a;
                    blue += pixel.b * pixel.a;
                    alpha += pixel.a;
                }
            }
            if (alpha == 0) return new Color32(0, 0, 0, 0);
            int half = alpha / 2;
            byte opacity = (byte)((alpha + count / 2) / count);
            return new Color32((byte)((red + half) / alpha), (byte)((green + half) / alpha), (byte)((blue + half) / alpha), opacity);
        }

        // Puts RGBA8 pixels with straight alpha, bottom row first, into a texture: the given one if it has their size.
        internal static Texture2D Load(Texture2D texture, int width, int height, byte[] rgba)
        {
            if (texture == null || texture.width != width || texture.height != height)
            {
                if (texture != null) Object.Destroy(texture);
                texture = new Texture2D(width, height, TextureFormat.RGBA32, false)
                {
                    filterMode = FilterMode.Point,
                    wrapMode = TextureWrapMode.Clamp,
                };
            }
            texture.LoadRawTextureData(rgba);
            texture.Apply(false);
            return texture;
        }
    }
}
