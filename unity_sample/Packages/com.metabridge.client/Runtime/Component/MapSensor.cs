using System;
using System.Collections.Generic;
using UnityEngine;

namespace Metabridge
{
    /// <summary>Knows where places are, as from a map: for each of its names whether there is one, and where it lies.</summary>
    [AddComponentMenu("Metabridge/Map Sensor")]
    public sealed class MapSensor : MonoBehaviour
    {
        [SerializeField] string[] names = new string[0];
        [SerializeField] Transform[] places = new Transform[0];
        [SerializeField] float scale = 20f;

        /// <summary>The names of places, in the order of the policy's elements.</summary>
        public string[] Names
        {
            get => names;
            set
            {
                names = value;
                places = new Transform[value.Length];
            }
        }

        /// <summary>Metres that count as 1.</summary>
        public float Scale { get => scale; set => scale = value; }

        /// <summary>The names of what <see cref="Read"/> returns: for each place "NAME_known", "NAME_left", "NAME_forward".</summary>
        public string[] Elements
        {
            get
            {
                var elements = new List<string>();
                foreach (string name in names) elements.AddRange(new[] { name + "_known", name + "_left", name + "_forward" });
                return elements.ToArray();
            }
        }

        /// <summary>Says where a place is; null for one that is not there. ArgumentException for a name that is not on the map.</summary>
        public void Put(string name, Transform place)
        {
            int index = Array.IndexOf(names, name);
            if (index < 0) throw new ArgumentException("no place \"" + name + "\", the map has " + string.Join(", ", names));
            places[index] = place;
        }

        /// <summary>Returns, for each name, 1 and the way to its place, left and forward in units of the scale, from -1 to 1; else zeros.</summary>
        public float[] Read()
        {
            var read = new float[3 * names.Length];
            var turned = Quaternion.Inverse(transform.rotation);
            for (int i = 0; i < names.Length; i++)
            {
                if (places[i] == null) continue;
                var offset = turned * (places[i].position - transform.position);
                read[3 * i] = 1f;
                read[3 * i + 1] = Mathf.Clamp(-offset.x / scale, -1f, 1f);
                read[3 * i + 2] = Mathf.Clamp(offset.z / scale, -1f, 1f);
            }
            return read;
        }
    }
}
