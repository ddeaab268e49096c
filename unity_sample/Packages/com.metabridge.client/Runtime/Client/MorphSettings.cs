using Metabridge.V1;

namespace Metabridge
{
    /// <summary>How a morph goes from key to key.</summary>
    public sealed class MorphSettings
    {
        /// <summary>Seconds from a key to the next.</summary>
        public float SecondsPerKey { get; set; } = 1f;

        /// <summary>Frames a second, 1 to 120.</summary>
        public float FrameRate { get; set; } = 30f;

        /// <summary>Whether the path goes on from the last key to the first, so that it can be played round and round.</summary>
        public bool IsLoop { get; set; }

        /// <summary>Whether frames come no earlier than at their time; if not, as fast as they are made and taken.</summary>
        public bool IsRealTime { get; set; } = true;

        internal MorphAvatarRequest Request(ModelSelector model, AvatarSpec spec)
        {
            return new MorphAvatarRequest
            {
                Model = model,
                Spec = spec,
                SecondsPerKey = SecondsPerKey,
                FrameRate = FrameRate,
                Loop = IsLoop,
                Pacing = IsRealTime ? Pacing.RealTime : Pacing.Unpaced,
            };
        }
    }
}
