using System;
using System.Collections.Generic;
using System.Linq;
using Metabridge.V1;

namespace Metabridge
{
    /// <summary>What a policy observes and how it acts, as <c>DescribePolicy</c> says: names, order, shapes, units.</summary>
    public sealed class PolicyDescription
    {
        readonly Dictionary<string, ObservationSpec> observations = new Dictionary<string, ObservationSpec>();
        readonly Dictionary<string, ActionSpec> actions = new Dictionary<string, ActionSpec>();

        /// <summary>The model, its version and the execution provider.</summary>
        public ServedBy Model { get; }

        /// <summary>Names of the observations, each required of every agent.</summary>
        public IReadOnlyCollection<string> Observations => observations.Keys;

        public IReadOnlyCollection<string> Actions => actions.Keys;

        /// <summary>Number of bools that <see cref="NpcGroup.Allow"/> takes; 0 for a policy without a mask.</summary>
        public int MaskWidth { get; }

        /// <summary>The sidecar keeps a state for each agent, from episode start to episode start.</summary>
        public bool IsRecurrent { get; }

        /// <summary>Seeded sampling draws actions; false for a policy that always answers with the same one.</summary>
        public bool IsStochastic { get; }

        /// <summary>Seconds from tick to tick in training; 0 when nothing is known.</summary>
        public double TickSeconds { get; }

        public PolicyDescription(DescribePolicyResponse response)
        {
            Model = response.Model;
            MaskWidth = response.MaskWidth;
            IsRecurrent = response.States.Count > 0;
            IsStochastic = response.IsStochastic;
            TickSeconds = response.TickSeconds;
            foreach (var observation in response.Observations) observations[observation.Name] = observation;
            foreach (var action in response.Actions) actions[action.Name] = action;
        }

        /// <summary>One observation; ArgumentException for a name that the policy has not.</summary>
        public ObservationSpec Observation(string name)
        {
            return Find(observations, "observes", name);
        }

        /// <summary>One action; ArgumentException for a name that the policy has not.</summary>
        public ActionSpec Action(string name)
        {
            return Find(actions, "acts by", name);
        }

        /// <summary>
        /// Holds that a sensor gives an observation's elements in the policy's order: ArgumentException with the first that differs. A
        /// policy that names no elements is held to their number.
        /// </summary>
        public void Expect(string observation, IReadOnlyList<string> elements)
        {
            var spec = Observation(observation);
            long size = spec.Shape.Aggregate(1L, (product, axis) => product * axis);
            if (elements.Count != size)
            {
                throw new ArgumentException(Named(observation) + " has " + size + " elements, the sensor gives " + elements.Count);
            }
            for (int i = 0; i < spec.Elements.Count; i++)
            {
                if (spec.Elements[i] == elements[i]) continue;
                throw new ArgumentException(
                    "element " + i + " of " + Named(observation) + " is \"" + spec.Elements[i] + "\", the sensor gives \"" + elements[i] + "\"");
            }
        }

        /// <summary>Writes an observation of the next agent in the shape that the policy has; ArgumentException for another number.</summary>
        public void Write(NpcGroup tick, string observation, float[] values)
        {
            var shape = Observation(observation).Shape;
            tick.Observe(observation, shape.Select(size => (int)size).ToArray(), values);
        }

        string Named(string observation)
        {
            return "\"" + observation + "\" of " + Model.Name + "/" + Model.Version;
        }

        T Find<T>(Dictionary<string, T> specs, string verb, string name)
        {
            if (specs.TryGetValue(name, out T spec)) return spec;
            throw new ArgumentException(Model.Name + " " + verb + " " + string.Join(", ", specs.Keys) + ", not \"" + name + "\"");
        }
    }
}
