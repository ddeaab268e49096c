using System;
using System.Collections.Generic;

namespace Metabridge
{
    /// <summary>
    /// The agents of one policy and what they observe in one tick: a row an agent in every observation. Rows are written agent by
    /// agent: <see cref="Observe"/> for each observation, then <see cref="AddAgent"/>.
    /// </summary>
    public sealed class NpcGroup
    {
        sealed class Rows
        {
            internal int Width = -1;
            internal readonly List<float> Values = new List<float>();
            internal float[] Next;
        }

        readonly Dictionary<string, Rows> observations = new Dictionary<string, Rows>();
        readonly List<ulong> agents = new List<ulong>();
        readonly List<bool> episodeStarts = new List<bool>();

        public string Model { get; }

        public int Version { get; }

        /// <summary>Whether actions are drawn, keyed by seed, tick and agent, in place of the most likely ones.</summary>
        public bool IsSeeded { get; }

        public IReadOnlyList<ulong> Agents => agents;

        internal IReadOnlyList<bool> EpisodeStarts => episodeStarts;

        internal IEnumerable<string> Names => observations.Keys;

        public NpcGroup(string model, int version = 0, bool isSeeded = false)
        {
            Model = model;
            Version = version;
            IsSeeded = isSeeded;
        }

        /// <summary>Writes one observation of the next agent, by the name in the model's card, in the card's units.</summary>
        public void Observe(string name, params float[] values)
        {
            if (!observations.TryGetValue(name, out var rows)) observations.Add(name, rows = new Rows());
            rows.Next = values;
        }

        /// <summary>
        /// Ends the agent's row. ArgumentException when the agent observed other things than those before it; the group is then as
        /// it was without the agent.
        /// </summary>
        public void AddAgent(ulong id, bool isEpisodeStart)
        {
            try
            {
                foreach (var pair in observations) Check(id, pair.Key, pair.Value);
            }
            catch
            {
                ForgetNext();
                throw;
            }
            foreach (var rows in observations.Values)
            {
                rows.Width = rows.Next.Length;
                rows.Values.AddRange(rows.Next);
                rows.Next = null;
            }
            agents.Add(id);
            episodeStarts.Add(isEpisodeStart);
        }

        /// <summary>Drops what was observed for the next agent.</summary>
        public void ForgetNext()
        {
            foreach (var rows in observations.Values) rows.Next = null;
        }

        /// <summary>Forgets all agents, for the next tick; the observations' widths stay.</summary>
        public void Clear()
        {
            agents.Clear();
            episodeStarts.Clear();
            foreach (var rows in observations.Values) rows.Values.Clear();
        }

        internal float[] Values(string name)
        {
            return observations[name].Values.ToArray();
        }

        internal int Width(string name)
        {
            return observations[name].Width;
        }

        void Check(ulong id, string name, Rows rows)
        {
            int width = agents.Count == 0 ? rows.Next?.Length ?? -1 : rows.Width;
            if (rows.Next != null && rows.Next.Length == width) return;
            string given = rows.Next == null ? "nothing" : rows.Next.Length + " numbers";
            string message = "agent " + id + " gave " + given + " for \"" + name + "\", expected " +
                (width < 0 ? "numbers" : width + " numbers, as the agents before it");
            throw new ArgumentException(message);
        }
    }
}
