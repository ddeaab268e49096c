using System;
using System.Collections.Generic;
using System.Globalization;
using UnityEngine;

namespace Metabridge
{
    /// <summary>
    /// Sees by rays through Physics: each is a sphere of the body's radius that slides away from it until a collider stops it. What
    /// has no <see cref="Perceived"/> is taken for the first of the kinds. Colliders below this object are not met.
    /// </summary>
    [AddComponentMenu("Metabridge/Ray Sensor")]
    public sealed class RaySensor : MonoBehaviour
    {
        [SerializeField] float[] degrees = { -60f, -30f, 0f, 30f, 60f };
        [SerializeField] string[] kinds = { "solid" };
        [SerializeField] float range = 8f;
        [SerializeField] float sight = 8f;
        [SerializeField] float bodyRadius = 0.4f;
        [SerializeField] LayerMask layers = ~0;

        readonly RaycastHit[] hits = new RaycastHit[64], overlaps = new RaycastHit[64];
        readonly Dictionary<Perceived, string> known = new Dictionary<Perceived, string>();

        /// <summary>Where the rays go: degrees to the left of forward, about the object's up.</summary>
        public float[] Degrees { get => degrees; set => degrees = value; }

        /// <summary>What can be told apart, in the order of the policy's elements.</summary>
        public string[] Kinds { get => kinds; set => kinds = value; }

        /// <summary>Metres at which nearness is 0.</summary>
        public float Range { get => range; set => range = value; }

        /// <summary>Metres beyond which nothing is seen: less than the range by night or in fog.</summary>
        public float Sight { get => sight; set => sight = value; }

        /// <summary>Radius in metres of the sphere that slides; it starts in the object's origin.</summary>
        public float BodyRadius { get => bodyRadius; set => bodyRadius = value; }

        public LayerMask Layers { get => layers; set => layers = value; }

        /// <summary>The names of what <see cref="Read"/> returns: for each ray "ray_DEGREES_nearness", then one a kind.</summary>
        public string[] Elements
        {
            get
            {
                var names = new List<string>();
                foreach (float angle in degrees)
                {
                    string ray = "ray_" + angle.ToString(CultureInfo.InvariantCulture) + "_";
                    names.Add(ray + "nearness");
                    foreach (string kind in kinds) names.Add(ray + kind);
                }
                return names.ToArray();
            }
        }

        /// <summary>Takes one thing for another kind than others do, as the one that an agent serves; null forgets it.</summary>
        public void See(Perceived thing, string kind)
        {
            if (kind == null) known.Remove(thing);
            else known[thing] = kind;
        }

        /// <summary>
        /// Returns, for each ray, nearness (1 where the body touches, 0 at the range or where nothing is met), then 1 for the kind that
        /// is met and 0 for the others. ArgumentException when a thing's kind is none of <see cref="Kinds"/>.
        /// </summary>
        public float[] Read()
        {
            int width = 1 + kinds.Length;
            var read = new float[width * degrees.Length];
            for (int i = 0; i < degrees.Length; i++)
            {
                var direction = transform.rotation * Quaternion.Euler(0f, -degrees[i], 0f) * Vector3.forward;
                float reach = Slide(direction, out var met);
                if (met == null || reach >= sight) continue;
                read[width * i] = 1f - Mathf.Max(reach, 0f) / range;
                read[width * i + 1 + KindOf(met)] = 1f;
            }
            return read;
        }

        // Returns how far the body slides: less than nothing where it overlaps what is met.
        float Slide(Vector3 direction, out Collider met)
        {
            var ray = new Ray(transform.position, direction);
            int count = Physics.SphereCastNonAlloc(ray, bodyRadius, hits, range, layers, QueryTriggerInteraction.Ignore);
            met = null;
            float reach = range;
            for (int i = 0; i < count; i++)
            {
                var collider = hits[i].collider;
                float distance = hits[i].distance;
                if (distance > 0f ? distance >= reach : !IsAhead(collider, ray)) continue;
                if (collider.transform.IsChildOf(transform)) continue;
                if (distance <= 0f) distance = Overlap(collider, ray);
                if (distance >= reach) continue;
                reach = distance;
                met = collider;
            }
            return reach;
        }

        // How far back along the ray the body would touch the collider that it overlaps, at most its diameter; not above 0.
        float Overlap(Collider collider, Ray ray)
        {
            float back = 2f * bodyRadius;
            ray.origin -= back * ray.direction;
            int count = Physics.SphereCastNonAlloc(ray, bodyRadius, overlaps, back, layers, QueryTriggerInteraction.Ignore);
            for (int i = 0; i < count; i++)
            {
                if (overlaps[i].collider == collider) return overlaps[i].distance - back;
            }
            return 0f;
        }

        // What the sphere overlaps from the start is met at once wherever the ray goes; it stops only a ray that goes towards it.
        static bool IsAhead(Collider collider, Ray ray)
        {
            var towards = collider.ClosestPoint(ray.origin) - ray.origin;
            if (towards.sqrMagnitude < 1e-12f) towards = collider.bounds.center - ray.origin;
            return Vector3.Dot(towards, ray.direction) > 0f;
        }

        int KindOf(Collider met)
        {
            var thing = met.GetComponentInParent<Perceived>();
            if (thing == null) return 0;
            if (!known.TryGetValue(thing, out string kind)) kind = thing.Kind;
            int index = Array.IndexOf(kinds, kind);
            if (index >= 0) return index;
            throw new ArgumentException(
                "\"" + thing.name + "\" is perceived as \"" + kind + "\", expected one of " + string.Join(", ", kinds));
        }
    }
}
