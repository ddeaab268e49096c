using System;
using Metabridge.V1;

namespace Metabridge
{
    /// <summary>
    /// Writes what an environment offers. A space that has one part gives it no name; one of several parts gives each its own.
    /// </summary>
    public static class EnvironmentSpaces
    {
        /// <summary>Returns an offer of rows: one for each agent of each environment.</summary>
        public static EnvironmentSpec Offer(
            string name, int environments, SpaceSpec[] observations, SpaceSpec[] actions, int agents = 1, int maskWidth = 0)
        {
            var spec = new EnvironmentSpec
            {
                Name = name,
                Environments = (uint)environments,
                Agents = (uint)agents,
                MaskWidth = (uint)maskWidth,
            };
            spec.Observations.AddRange(observations);
            spec.Actions.AddRange(actions);
            return spec;
        }

        /// <summary>Returns float32 numbers between the same two bounds; infinities where there is none.</summary>
        public static SpaceSpec Box(string name, double low, double high, params int[] shape)
        {
            return Box(name, new[] { low }, new[] { high }, shape);
        }

        /// <summary>Returns float32 numbers, each between bounds of its own.</summary>
        public static SpaceSpec Box(string name, double[] low, double[] high, params int[] shape)
        {
            var space = Part(name, SpaceKind.Box, shape);
            space.Dtype = DataType.Float32;
            space.Low.AddRange(low);
            space.High.AddRange(high);
            return space;
        }

        /// <summary>Returns a picture of uint8, channels last.</summary>
        public static SpaceSpec Picture(string name, int height, int width, int channels)
        {
            var space = Part(name, SpaceKind.Box, new[] { height, width, channels });
            space.Dtype = DataType.Uint8;
            space.Low.Add(0);
            space.High.Add(255);
            return space;
        }

        /// <summary>Returns one choice.</summary>
        public static SpaceSpec Discrete(string name, int choices)
        {
            var space = Part(name, SpaceKind.Discrete, new int[0]);
            space.Choices.Add(choices);
            return space;
        }

        /// <summary>Returns several choices, each out of its own number.</summary>
        public static SpaceSpec MultiDiscrete(string name, params int[] choices)
        {
            var space = Part(name, SpaceKind.MultiDiscrete, new[] { choices.Length });
            foreach (int count in choices) space.Choices.Add(count);
            return space;
        }

        /// <summary>Returns bits, each 0 or 1.</summary>
        public static SpaceSpec MultiBinary(string name, int bits)
        {
            return Part(name, SpaceKind.MultiBinary, new[] { bits });
        }

        /// <summary>Returns the number of rows of an offer.</summary>
        public static int Rows(EnvironmentSpec spec)
        {
            return checked((int)(spec.Environments * Math.Max(1, spec.Agents)));
        }

        static SpaceSpec Part(string name, SpaceKind kind, int[] shape)
        {
            var space = new SpaceSpec { Name = name ?? "", Kind = kind };
            foreach (int size in shape) space.Shape.Add(size);
            return space;
        }
    }
}
