using System;
using System.Collections.Generic;
using UnityEngine;

namespace Metabridge
{
    /// <summary>
    /// Hears the sources that are given to it: by band the level, and the direction that it comes from. A source of gain g at d metres
    /// is heard at g / (1 + (d / Hearing)^2); a band sums its sources, its direction is that of the sum of vectors.
    /// </summary>
    [AddComponentMenu("Metabridge/Sound Sensor")]
    public sealed class SoundSensor : MonoBehaviour
    {
        const float Silence = 1e-3f, Nearest = 1e-9f, BendMetres = 6f;

        [SerializeField] string[] bands = new string[0];
        [SerializeField] List<SoundSource> sources = new List<SoundSource>();
        [SerializeField] float hearing = 4f;

        /// <summary>The bands, in the order of the policy's elements.</summary>
        public string[] Bands { get => bands; set => bands = value; }

        /// <summary>What can be heard.</summary>
        public List<SoundSource> Sources => sources;

        /// <summary>Distance in metres at which half of a sound's level is left.</summary>
        public float Hearing { get => hearing; set => hearing = value; }

        /// <summary>The names of what <see cref="Read"/> returns: for each band "BAND_level", "BAND_sine", "BAND_cosine".</summary>
        public string[] Elements
        {
            get
            {
                var names = new List<string>();
                foreach (string band in bands) names.AddRange(new[] { band + "_level", band + "_sine", band + "_cosine" });
                return names.ToArray();
            }
        }

        /// <summary>
        /// Returns, for each band, the level from 0 to 1, and sine and cosine of the direction: 0 and 1 ahead, 1 and 0 to the left; zeros
        /// in silence. ArgumentException when a source's band is none of <see cref="Bands"/>.
        /// </summary>
        public float[] Read()
        {
            var levels = new float[bands.Length];
            var directions = new Vector2[bands.Length];
            foreach (var source in sources)
            {
                if (source != null && source.isActiveAndEnabled) Add(source, levels, directions);
            }
            var read = new float[3 * bands.Length];
            for (int i = 0; i < bands.Length; i++)
            {
                float size = directions[i].magnitude;
                if (levels[i] <= Silence || size <= Nearest) continue;
                read[3 * i] = Mathf.Min(levels[i], 1f);
                read[3 * i + 1] = directions[i].x / size;
                read[3 * i + 2] = directions[i].y / size;
            }
            return read;
        }

        void Add(SoundSource source, float[] levels, Vector2[] directions)
        {
            int band = Array.IndexOf(bands, source.Band);
            if (band < 0)
            {
                throw new ArgumentException(
                    "\"" + source.name + "\" sounds in \"" + source.Band + "\", expected one of " + string.Join(", ", bands));
            }
            var offset = Quaternion.Inverse(transform.rotation) * (source.transform.position - transform.position);
            var direction = new Vector2(-offset.x, offset.z);
            float distance = direction.magnitude, ratio = distance / hearing;
            float level = source.Gain / (1f + ratio * ratio);
            levels[band] += level;
            float angle = Mathf.Atan2(direction.x, direction.y) + source.Bend * distance / (distance + BendMetres);
            if (distance > Nearest) directions[band] += level * new Vector2(Mathf.Sin(angle), Mathf.Cos(angle));
        }
    }
}
