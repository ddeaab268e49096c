using UnityEngine;

namespace Metabridge
{
    /// <summary>Says what a <see cref="RaySensor"/> takes an object's colliders for; those below it count as it does.</summary>
    [AddComponentMenu("Metabridge/Perceived")]
    public sealed class Perceived : MonoBehaviour
    {
        [SerializeField] string kind = "";

        /// <summary>One of the kinds of the sensors that may meet it.</summary>
        public string Kind { get => kind; set => kind = value; }
    }
}
