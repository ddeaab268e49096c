using System;
using System.Collections.Generic;
using Metabridge.Internal;
using Metabridge.V1;

namespace Metabridge
{
    /// <summary>Which rows begin a new episode, and how.</summary>
    public sealed class EnvironmentReset
    {
        readonly EnvironmentCommand command;

        /// <summary>Whether the trainer gives a seed; without one, episodes go on from the random numbers that came before.</summary>
        public bool IsSeeded => command.IsSeeded;

        /// <summary>The rows whose last report could not be used, and why.</summary>
        public IReadOnlyList<EnvironmentFailure> Failures => command.Failures;

        internal EnvironmentReset(EnvironmentCommand command)
        {
            this.command = command;
        }

        /// <summary>Whether a row begins a new episode.</summary>
        public bool IsChosen(int row)
        {
            return command.Chosen.Count == 0 || command.Chosen[row];
        }

        /// <summary>The seed of a row.</summary>
        public ulong Seed(int row)
        {
            return unchecked(command.Seed + (ulong)row);
        }

        /// <summary>Returns the numbers of an option, float32 and row-major; null for one that was not given.</summary>
        public float[] Option(string name)
        {
            foreach (var option in command.Options)
            {
                if (option.Name == name) return Tensors.ToFloats(option.Tensor, name);
            }
            return null;
        }
    }
}
