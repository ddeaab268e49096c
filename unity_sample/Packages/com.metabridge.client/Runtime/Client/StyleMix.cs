using System.Collections.Generic;
using Metabridge.V1;

namespace Metabridge
{
    /// <summary>Style mixing: a range of layers, <c>FirstLayer &lt;= layer &lt; LastLayer</c>, takes its styles from other seeds.</summary>
    public sealed class StyleMix
    {
        /// <summary>One seed an avatar, or one for all.</summary>
        public IReadOnlyList<ulong> Seeds { get; }

        public int FirstLayer { get; }

        /// <summary>The layer after the last one of the range; 0 is the model's number of layers.</summary>
        public int LastLayer { get; }

        public StyleMix(ulong seed, int firstLayer = 0, int lastLayer = 0)
            : this(new[] { seed }, firstLayer, lastLayer)
        {
        }

        public StyleMix(IReadOnlyList<ulong> seeds, int firstLayer = 0, int lastLayer = 0)
        {
            Seeds = seeds;
            FirstLayer = firstLayer;
            LastLayer = lastLayer;
        }

        internal StyleMixing Message()
        {
            var message = new StyleMixing { FirstLayer = checked((uint)FirstLayer), LastLayer = checked((uint)LastLayer) };
            message.Seeds.AddRange(Seeds);
            return message;
        }
    }
}
