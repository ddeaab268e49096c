namespace Metabridge
{
    /// <summary>The codes of a picture.</summary>
    public sealed class EncodedPicture
    {
        /// <summary>The codes, row by row from the top.</summary>
        public ushort[] Codes { get; }

        /// <summary>Mean difference of colours between the picture and what its codes decode to, from 0 to 1.</summary>
        public float PixelDistance { get; }

        internal EncodedPicture(ushort[] codes, float pixelDistance)
        {
            Codes = codes;
            PixelDistance = pixelDistance;
        }
    }
}
