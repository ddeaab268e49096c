using System;
using System.Collections.Generic;
using Metabridge.Internal;
using Metabridge.V1;

namespace Metabridge
{
    /// <summary>
    /// The agents of one policy and what they observe in one tick: a row an agent in every observation. Rows are written agent by
    /// agent: <see cref="Observe(string, float[])"/> for each observation, then <see cref="AddAgent"/>.
    /// </summary>
    public sealed class NpcGroup
    {
        readonly Dictionary<string, NpcRows> observations = new Dictionary<string, NpcRows>();
        readonly Dictionary<string, NpcRows> states = new Dictionary<string, NpcRows>();
        readonly NpcRows mask = new NpcRows<bool>(Tensors.FromBools);
        readonly List<ulong> agents = new List<ulong>();
        readonly List<bool> episodeStarts = new List<bool>();
        bool isMasked;

        public string Model { get; }

        public int Version { get; }

        /// <summary>Whether actions are drawn, keyed by seed, tick and agent, in place of the most likely ones.</summary>
        public bool IsSeeded { get; }

        /// <summary>Milliseconds in which the group is to be answered, in place of the call's; 0 takes the call's.</summary>
        public float FrameBudgetMs { get; set; }

        public IReadOnlyList<ulong> Agents => agents;

        internal IReadOnlyList<bool> EpisodeStarts => episodeStarts;

        public NpcGroup(string model, int version = 0, bool isSeeded = false)
        {
            Model = model;
            Version = version;
            IsSeeded = isSeeded;
        }

        /// <summary>Writes one observation of the next agent, by the name in the model's card, in the card's units.</summary>
        public void Observe(string name, params float[] values)
        {
            Rows<float>(name, Tensors.FromFloats).Write(values, values.Length);
        }

        /// <summary>Writes an observation of several axes, row-major.</summary>
        public void Observe(string name, int[] shape, float[] values)
        {
            Rows<float>(name, Tensors.FromFloats).Write(values, shape);
        }

        /// <summary>Writes a picture as a policy of pictures takes it: uint8, row by row, channels last.</summary>
        public void ObservePicture(string name, byte[] pixels, int height, int width, int channels)
        {
            Rows<byte>(name, Tensors.FromBytes).Write(pixels, height, width, channels);
        }

        /// <summary>Writes one category, counted from 0.</summary>
        public void ObserveCategory(string name, long value)
        {
            Rows<long>(name, Tensors.FromLongs).Write(new[] { value });
        }

        /// <summary>Writes several categories, each counted from 0.</summary>
        public void ObserveCategories(string name, params long[] values)
        {
            Rows<long>(name, Tensors.FromLongs).Write(values, values.Length);
        }

        /// <summary>Writes several bits, each 0 or 1.</summary>
        public void ObserveBits(string name, params sbyte[] values)
        {
            Rows<sbyte>(name, Tensors.FromSBytes).Write(values, values.Length);
        }

        /// <summary>
        /// Brings a recurrent state of the next agent, where no session keeps it: what <see cref="AgentActions.State"/> gave, in the
        /// shape that the model's description gives. Either all agents of a group bring theirs, or none, when every episode starts.
        /// </summary>
        public void Bring(string name, int[] shape, float[] values)
        {
            if (!states.TryGetValue(name, out var rows)) states.Add(name, rows = new NpcRows<float>(Tensors.FromFloats));
            ((NpcRows<float>)rows).Write(values, shape);
        }

        /// <summary>
        /// Says which actions the next agent may take now, the branches of the card's discrete actions one after another. Either all
        /// agents of a group say it, or none, which allows everything.
        /// </summary>
        public void Allow(params bool[] actions)
        {
            isMasked = true;
            ((NpcRows<bool>)mask).Write(actions, actions.Length);
        }

        /// <summary>
        /// Ends the agent's row. ArgumentException when the agent observed other things than those before it; the group is then as
        /// it was without the agent.
        /// </summary>
        public void AddAgent(ulong id, bool isEpisodeStart)
        {
            try
            {
                foreach (var pair in observations) pair.Value.Check(id, pair.Key, agents.Count);
                foreach (var pair in states) pair.Value.Check(id, pair.Key, agents.Count);
                if (isMasked) mask.Check(id, "the action mask", agents.Count);
            }
            catch
            {
                ForgetNext();
                throw;
            }
            foreach (var rows in observations.Values) rows.Take();
            foreach (var rows in states.Values) rows.Take();
            if (isMasked) mask.Take();
            agents.Add(id);
            episodeStarts.Add(isEpisodeStart);
        }

        /// <summary>Drops what was observed for the next agent.</summary>
        public void ForgetNext()
        {
            foreach (var rows in observations.Values) rows.ForgetNext();
            foreach (var rows in states.Values) rows.ForgetNext();
            mask.ForgetNext();
            if (agents.Count > 0) return;
            isMasked = false;
            states.Clear();
        }

        /// <summary>Forgets all agents, for the next tick; the observations' shapes stay.</summary>
        public void Clear()
        {
            agents.Clear();
            episodeStarts.Clear();
            foreach (var rows in observations.Values) rows.Clear();
            states.Clear();
            mask.Clear();
            isMasked = false;
        }

        internal void WriteTo(PolicyGroup message)
        {
            foreach (var pair in observations)
            {
                message.Observations.Add(new NamedTensor { Name = pair.Key, Tensor = pair.Value.ToTensor(agents.Count) });
            }
            foreach (var pair in states)
            {
                message.States.Add(new NamedTensor { Name = pair.Key, Tensor = pair.Value.ToTensor(agents.Count) });
            }
            if (isMasked) message.ActionMask = mask.ToTensor(agents.Count);
        }

        NpcRows<T> Rows<T>(string name, Func<T[], long[], Tensor> write)
        {
            if (!observations.TryGetValue(name, out var rows)) observations.Add(name, rows = new NpcRows<T>(write));
            if (rows is NpcRows<T> typed) return typed;
            throw new ArgumentException("\"" + name + "\" was observed as other numbers than " + typeof(T).Name + " before");
        }
    }
}
