using System.Collections.Generic;
using UnityEngine;

namespace Metabridge
{
    /// <summary>
    /// Feels pressure around the body. Each tick the game clears it, asks how far Physics pushes the body out of what it overlaps, or
    /// takes the push of a character controller, and lets it be felt.
    /// </summary>
    [AddComponentMenu("Metabridge/Touch Sensor")]
    public sealed class TouchSensor : MonoBehaviour
    {
        [SerializeField] int sectors = 8;
        [SerializeField] float fullDepth = 0.1f;
        [SerializeField] Collider body;

        readonly Collider[] near = new Collider[64];
        float[] pressure = new float[0];

        /// <summary>Number of sectors, counter-clockwise from the one ahead.</summary>
        public int Sectors { get => sectors; set => sectors = value; }

        /// <summary>Metres of a push that are felt as full pressure.</summary>
        public float FullDepth { get => fullDepth; set => fullDepth = value; }

        /// <summary>The collider that is pushed; the object's own unless another is set.</summary>
        public Collider Body { get => body; set => body = value; }

        /// <summary>The names of what <see cref="Read"/> returns: "pressure_DEGREES", three digits, counter-clockwise from ahead.</summary>
        public string[] Elements
        {
            get
            {
                var names = new List<string>();
                for (int i = 0; i < sectors; i++) names.Add("pressure_" + (360 * i / sectors).ToString("000"));
                return names.ToArray();
            }
        }

        /// <summary>Returns the pressure by sector since it was cleared, from 0 to 1.</summary>
        public float[] Read()
        {
            return (float[])Felt().Clone();
        }

        /// <summary>Forgets what was felt.</summary>
        public void Clear()
        {
            System.Array.Clear(Felt(), 0, sectors);
        }

        /// <summary>
        /// Returns the way straight out of the collider of these layers that the body is deepest in, in metres of the scene; zero where it
        /// is in none. Nothing is moved and nothing is felt.
        /// </summary>
        public Vector3 Push(LayerMask layers)
        {
            if (body == null) body = GetComponent<Collider>();
            var bounds = body.bounds;
            var at = body.transform;
            var push = Vector3.zero;
            float deepest = 0f;
            int count = Physics.OverlapSphereNonAlloc(
                bounds.center, bounds.extents.magnitude, near, layers, QueryTriggerInteraction.Ignore);
            for (int i = 0; i < count; i++)
            {
                var other = near[i].transform;
                if (other.IsChildOf(transform)) continue;
                bool overlaps = Physics.ComputePenetration(
                    body, at.position, at.rotation, near[i], other.position, other.rotation, out var direction, out float depth);
                if (!overlaps || depth <= deepest) continue;
                deepest = depth;
                push = depth * direction;
            }
            return push;
        }

        /// <summary>Adds the pressure of being pushed so far: it comes from the side opposite to the push.</summary>
        public void Feel(Vector3 push)
        {
            var from = Quaternion.Inverse(transform.rotation) * -push;
            float depth = new Vector2(from.x, from.z).magnitude;
            if (depth <= 0f) return;
            float turn = Mathf.Atan2(-from.x, from.z) / (2f * Mathf.PI);
            int sector = (Mathf.RoundToInt(turn * sectors) + sectors) % sectors;
            Felt()[sector] = Mathf.Min(1f, Felt()[sector] + depth / fullDepth);
        }

        float[] Felt()
        {
            if (pressure.Length != sectors) pressure = new float[sectors];
            return pressure;
        }
    }
}
