using System;
using System.Collections.Generic;
using Metabridge.Internal;
using Metabridge.V1;

namespace Metabridge
{
    /// <summary>
    /// What an avatar is made of: a style a layer and the seed of its noise. With the same controls they give the same picture
    /// again; with others they give the same face, changed.
    /// </summary>
    public sealed class AvatarStyles
    {
        readonly float[] values;

        /// <summary>The seed of the noise.</summary>
        public ulong Seed { get; }

        public int LayerCount { get; }

        public int LatentSize { get; }

        /// <summary>Takes the numbers layer after layer; ArgumentException when there are not as many as the sizes say.</summary>
        public AvatarStyles(ulong seed, int layerCount, int latentSize, float[] values)
        {
            if (layerCount < 1 || latentSize < 1 || values.LongLength != (long)layerCount * latentSize)
            {
                string message = values.Length + " numbers for " + layerCount + " layers of " + latentSize;
                throw new ArgumentException(message, nameof(values));
            }
            Seed = seed;
            LayerCount = layerCount;
            LatentSize = latentSize;
            this.values = (float[])values.Clone();
        }

        /// <summary>Returns a copy of the numbers, layer after layer.</summary>
        public float[] ToArray()
        {
            return (float[])values.Clone();
        }

        // Null when the avatar came without them.
        internal static AvatarStyles Of(Avatar avatar)
        {
            var tensor = avatar.Styles;
            if (tensor == null) return null;
            float[] values = Tensors.ToFloats(tensor, "styles");
            if (tensor.Shape.Count != 3 || tensor.Shape[0] != 1)
            {
                throw new FormatException("styles have shape [" + string.Join(", ", tensor.Shape) + "], expected [1, layers, latent size]");
            }
            return new AvatarStyles(avatar.Seed, (int)tensor.Shape[1], (int)tensor.Shape[2], values);
        }

        internal static Tensor Join(IReadOnlyList<AvatarStyles> styles)
        {
            if (styles.Count == 0) throw new ArgumentException("no styles are given, expected at least one", nameof(styles));
            var first = styles[0];
            var values = new float[styles.Count * first.values.Length];
            for (int i = 0; i < styles.Count; i++)
            {
                if (styles[i].LayerCount != first.LayerCount || styles[i].LatentSize != first.LatentSize)
                {
                    throw new ArgumentException("styles " + i + " are of another model than the first", nameof(styles));
                }
                Array.Copy(styles[i].values, 0, values, i * first.values.Length, first.values.Length);
            }
            return Tensors.FromFloats(values, styles.Count, first.LayerCount, first.LatentSize);
        }
    }
}
