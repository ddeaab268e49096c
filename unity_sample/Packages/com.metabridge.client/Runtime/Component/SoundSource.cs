using UnityEngine;

namespace Metabridge
{
    /// <summary>Something that <see cref="SoundSensor"/>s hear while it is enabled.</summary>
    [AddComponentMenu("Metabridge/Sound Source")]
    public sealed class SoundSource : MonoBehaviour
    {
        [SerializeField] string band = "";
        [SerializeField] float gain = 1f;
        [SerializeField] float bend = 0f;

        /// <summary>The band in which it is heard.</summary>
        public string Band { get => band; set => band = value; }

        /// <summary>Its level at no distance; 0 is silence.</summary>
        public float Gain { get => gain; set => gain = value; }

        /// <summary>Radians to the left by which echoes bend where it comes from, from endlessly far; less when it is near.</summary>
        public float Bend { get => bend; set => bend = value; }
    }
}
