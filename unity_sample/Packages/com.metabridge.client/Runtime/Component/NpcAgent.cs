using UnityEngine;

namespace Metabridge
{
    /// <summary>
    /// A character whose actions a policy chooses. Derive from it: <see cref="Observe"/> says what it perceives,
    /// <see cref="Act"/> does what was chosen. It joins its brain when it is enabled and leaves when it is disabled.
    /// </summary>
    public abstract class NpcAgent : MonoBehaviour
    {
        [SerializeField] NpcBrain brain;
        [SerializeField] string model = "";

        int startsAsked = 1, startsSent, startsDone;

        /// <summary>The brain that asks for its actions; null leaves it alone.</summary>
        public NpcBrain Brain
        {
            get => brain;
            set
            {
                if (isActiveAndEnabled && brain != null) brain.Remove(this);
                brain = value;
                startsAsked++;
                if (isActiveAndEnabled && brain != null) brain.Add(this);
            }
        }

        /// <summary>Name of its policy; empty means the brain's.</summary>
        public string Model { get => model; set => model = value; }

        /// <summary>What its policy observes and how it acts; null before its first tick.</summary>
        public PolicyDescription Policy { get; private set; }

        /// <summary>Its id within the brain's session, given when it joins.</summary>
        public ulong Id { get; internal set; }

        /// <summary>
        /// Why it failed in the last tick: what its code threw, what the sidecar could not use, or a lost memory; null when all was well.
        /// </summary>
        public string Failure { get; internal set; }

        /// <summary>Begins a new episode with the next tick: the sidecar forgets what it keeps for this agent.</summary>
        public void StartEpisode()
        {
            startsAsked++;
        }

        /// <summary>
        /// Learns what the policy observes and how it acts: before the first tick, and again when another version is served. What it throws
        /// keeps the agent out of the ticks and shows in <see cref="Failure"/>: the place to hold sensors to the policy's order.
        /// </summary>
        protected virtual void OnDescribed(PolicyDescription policy)
        {
        }

        /// <summary>
        /// Writes every observation in the model's card with <c>tick.Observe(name, values)</c>, raw values in the card's units.
        /// </summary>
        protected abstract void Observe(NpcGroup tick);

        /// <summary>Takes the chosen actions; called on the main thread, once for each answered tick.</summary>
        protected abstract void Act(AgentActions actions);

        internal void Write(NpcGroup group, PolicyDescription described)
        {
            if (Policy != described)
            {
                Policy = null;
                OnDescribed(described);
                Policy = described;
            }
            Observe(group);
            group.AddAgent(Id, startsAsked > startsDone);
            startsSent = startsAsked;
        }

        // An episode that begins while its tick is on the way starts with the next one.
        internal void Take(AgentActions actions)
        {
            startsDone = startsSent;
            Act(actions);
        }

        protected virtual void OnEnable()
        {
            startsAsked++;
            if (brain != null) brain.Add(this);
        }

        protected virtual void OnDisable()
        {
            if (brain != null) brain.Remove(this);
        }
    }
}
