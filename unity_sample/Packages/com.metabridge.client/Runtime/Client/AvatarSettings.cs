using System.Collections.Generic;
using Metabridge.V1;

namespace Metabridge
{
    /// <summary>What all avatars of one call have in common; the defaults are what a texture wants.</summary>
    public sealed class AvatarSettings
    {
        /// <summary>Name of the model; required.</summary>
        public string Model { get; set; } = "";

        /// <summary>Version of the model; 0 is the latest.</summary>
        public int Version { get; set; }

        /// <summary>0 gives the average avatar, 1 the full variety; null is the model's default. Given styles it leaves as they are.</summary>
        public float? Truncation { get; set; }

        /// <summary>Values by the name of a control; 0 changes nothing. The model's card has names and ranges.</summary>
        public Dictionary<string, float> Controls { get; } = new Dictionary<string, float>();

        /// <summary>Styles that come from other seeds; null for none.</summary>
        public StyleMix Mix { get; set; }

        /// <summary>Whether each avatar comes with its styles.</summary>
        public bool ReturnsStyles { get; set; }

        /// <summary>How the pixels come; RGBA8 comes with the bottom row first.</summary>
        public ImageFormat Format { get; set; } = ImageFormat.Rgba8;

        /// <summary>Width and height in pixels, a power of two from 8 to 4096; 0 is the model's own size.</summary>
        public int Size { get; set; }

        /// <summary>Number of mip levels; more than 1 is for RGBA8 alone.</summary>
        public int MipLevels { get; set; } = 1;

        internal AvatarSpec Spec(IEnumerable<ulong> seeds)
        {
            var spec = new AvatarSpec { Image = ImageSpec(), StyleMixing = Mix?.Message(), ReturnStyles = ReturnsStyles };
            if (Truncation.HasValue) spec.Truncation = new Truncation { Psi = Truncation.Value };
            spec.Controls.Add(Controls);
            spec.Seeds.AddRange(seeds);
            return spec;
        }

        internal AvatarSpec Spec(IReadOnlyList<AvatarStyles> styles)
        {
            var seeds = new ulong[styles.Count];
            for (int i = 0; i < seeds.Length; i++) seeds[i] = styles[i].Seed;
            var spec = Spec(seeds);
            spec.Styles = AvatarStyles.Join(styles);
            return spec;
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
