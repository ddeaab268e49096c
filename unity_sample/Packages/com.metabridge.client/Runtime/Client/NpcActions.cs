using System;
using System.Collections.Generic;
using System.Linq;
using Metabridge.Internal;
using Metabridge.V1;

namespace Metabridge
{
    /// <summary>The actions of one group's agents, in the order in which they were added.</summary>
    public sealed class NpcActions
    {
        readonly Dictionary<string, float[]> continuous = new Dictionary<string, float[]>();
        readonly Dictionary<string, long[]> discrete = new Dictionary<string, long[]>();
        readonly Dictionary<string, float[]> states = new Dictionary<string, float[]>();
        readonly Dictionary<ulong, string> failures = new Dictionary<ulong, string>();

        /// <summary>The model, its version and the execution provider that chose them.</summary>
        public ServedBy Model { get; }

        public IReadOnlyList<AgentStatus> Statuses { get; }

        public IReadOnlyList<Source> Sources { get; }

        /// <summary>Why agents failed, by agent id; agents that did not fail are not in it.</summary>
        public IReadOnlyDictionary<ulong, string> Failures => failures;

        /// <summary>Log-probabilities, one an agent; empty for a policy that has none.</summary>
        public IReadOnlyList<float> LogProbabilities { get; }

        /// <summary>
        /// Whether the session went on and nothing was kept of it: the sidecar was restarted, another of its processes answers, or
        /// the session was forgotten. Agents of recurrent policies that go on have the status StateLost.
        /// </summary>
        public bool SessionRestarted { get; }

        internal NpcActions(GroupActions group, bool sessionRestarted)
        {
            SessionRestarted = sessionRestarted;
            Model = group.Model;
            Statuses = group.Statuses;
            Sources = group.Sources;
            LogProbabilities = group.LogProbabilities;
            foreach (var failure in group.Failures) failures[failure.AgentId] = failure.Message;
            foreach (var named in group.Actions)
            {
                if (named.Tensor.Dtype == DataType.Int64) discrete[named.Name] = Tensors.ToLongs(named.Tensor, named.Name);
                else continuous[named.Name] = Tensors.ToFloats(named.Tensor, named.Name);
            }
            foreach (var named in group.States) states[named.Name] = Tensors.ToFloats(named.Tensor, named.Name);
        }

        /// <summary>Returns the actions of the agent in one row.</summary>
        public AgentActions this[int row] => new AgentActions(this, row);

        internal float Continuous(string name, int row, int element)
        {
            return Element(continuous, "continuous", name, row, element);
        }

        internal long Discrete(string name, int row, int element)
        {
            return Element(discrete, "discrete", name, row, element);
        }

        internal float[] State(string name, int row)
        {
            if (!states.TryGetValue(name, out float[] values))
            {
                string known = string.Join(", ", states.Keys);
                throw new ArgumentException("no state \"" + name + "\" came back, only [" + known + "]; a session keeps its states");
            }
            var state = new float[values.Length / Statuses.Count];
            Array.Copy(values, row * state.Length, state, 0, state.Length);
            return state;
        }

        T Element<T>(Dictionary<string, T[]> actions, string kind, string name, int row, int element)
        {
            if (!actions.TryGetValue(name, out T[] values))
            {
                var known = continuous.Keys.Select(each => "continuous " + each).Concat(discrete.Keys.Select(each => "discrete " + each));
                string message = "no " + kind + " action \"" + name + "\", the model has " + string.Join(", ", known.ToArray());
                throw new ArgumentException(message);
            }
            int width = values.Length / Statuses.Count;
            if (element < 0 || element >= width)
            {
                throw new ArgumentException("action \"" + name + "\" has " + width + " elements, element " + element + " is not one");
            }
            return values[row * width + element];
        }
    }

    /// <summary>One agent's actions, by the names in the model's card.</summary>
    public readonly struct AgentActions
    {
        readonly NpcActions actions;
        readonly int row;

        internal AgentActions(NpcActions actions, int row)
        {
            this.actions = actions;
            this.row = row;
        }

        /// <summary>Whether the agent's observation could be used.</summary>
        public AgentStatus Status => actions.Statuses[row];

        /// <summary>Where the action comes from: the policy, the agent's last action, or a neutral one.</summary>
        public Source Source => actions.Sources[row];

        /// <summary>The action's log-probability, 0 where it is not the policy's; NaN for a policy that has none.</summary>
        public float LogProbability => actions.LogProbabilities.Count == 0 ? float.NaN : actions.LogProbabilities[row];

        /// <summary>Returns one element of a continuous action in the card's units; ArgumentException for a name it has not.</summary>
        public float Continuous(string name, int element)
        {
            return actions.Continuous(name, row, element);
        }

        /// <summary>Returns one branch of a discrete action; ArgumentException for a name it has not.</summary>
        public long Discrete(string name, int element)
        {
            return actions.Discrete(name, row, element);
        }

        /// <summary>
        /// Returns a recurrent state of the agent, row-major, for <see cref="NpcGroup.Bring"/> in its next call; ArgumentException
        /// where a session keeps it.
        /// </summary>
        public float[] State(string name)
        {
            return actions.State(name, row);
        }
    }
}
