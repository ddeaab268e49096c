namespace Metabridge
{
    /// <summary>The avatar that is nearest to a picture.</summary>
    public sealed class AvatarProjection
    {
        /// <summary>The avatar; its styles are always there.</summary>
        public AvatarImage Avatar { get; }

        /// <summary>
        /// Mean absolute difference between the avatar without controls and the picture, from 0 (equal) to 1 (black against white).
        /// </summary>
        public float PixelDistance { get; }

        internal AvatarProjection(AvatarImage avatar, float pixelDistance)
        {
            Avatar = avatar;
            PixelDistance = pixelDistance;
        }
    }
}
