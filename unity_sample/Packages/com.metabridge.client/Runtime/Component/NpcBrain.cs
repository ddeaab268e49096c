using System;
using System.Collections.Generic;
using System.Threading.Tasks;
using Metabridge.Transport;
using UnityEngine;

namespace Metabridge
{
    /// <summary>
    /// Chooses the actions of its agents: each tick one call for all of them, never blocking a frame. While the sidecar cannot be
    /// reached the agents get no actions and the brain tries again by itself; the tick that failed is asked for anew. An agent that
    /// fails stays out of the tick alone, or gets what the sidecar falls back to, and says why.
    /// </summary>
    [AddComponentMenu("Metabridge/NPC Brain")]
    public sealed class NpcBrain : MonoBehaviour
    {
        [SerializeField] string address = "http://127.0.0.1:50052";
        [SerializeField] string model = "assistant";
        [SerializeField] float tickSeconds = 0.1f;
        [SerializeField] float frameBudgetMs = 0f;
        [SerializeField] float timeoutSeconds = 2f;
        [SerializeField] bool isSeeded = false;
        [SerializeField] long seed = 0;

        readonly SidecarLink link = new SidecarLink();
        readonly List<NpcAgent> agents = new List<NpcAgent>();
        readonly List<TickGroup> groups = new List<TickGroup>();
        readonly Dictionary<string, PolicyDescription> policies = new Dictionary<string, PolicyDescription>();
        readonly string session = Guid.NewGuid().ToString("N");
        Task<NpcActions[]> call;
        NpcClient client;
        Task<PolicyDescription> describing;
        string described;
        ulong lastId;
        float nextTick;

        /// <summary>A tick is done: every agent has acted.</summary>
        public event Action<uint> Ticked;

        /// <summary>An agent fails, or fails for another reason than before; <see cref="NpcAgent.Failure"/> says why.</summary>
        public event Action<NpcAgent> AgentFailed;

        /// <summary>A call failed; it is made again after a pause.</summary>
        public event Action<Exception> Failed { add => link.Failed += value; remove => link.Failed -= value; }

        /// <summary>The first call after failed ones succeeded.</summary>
        public event Action Recovered { add => link.Recovered += value; remove => link.Recovered -= value; }

        /// <summary>
        /// The sidecar was restarted, or has forgotten the session, and keeps nothing of it: agents with memories begin anew.
        /// </summary>
        public event Action SessionRestarted;

        /// <summary>Address of the sidecar's web port.</summary>
        public string Address { get => address; set { address = value; Abandon(); link.Release(); } }

        /// <summary>Name of the policy of agents that name none.</summary>
        public string Model { get => model; set => model = value; }

        /// <summary>Game time from tick to tick; 0 begins the next tick as soon as the last one is done.</summary>
        public float TickSeconds { get => tickSeconds; set => tickSeconds = value; }

        /// <summary>
        /// Milliseconds after which the sidecar answers with what is ready: agents of a late policy get their last action or a neutral
        /// one, and say so in their <see cref="AgentActions.Source"/>. 0 waits for every policy.
        /// </summary>
        public float FrameBudgetMs { get => frameBudgetMs; set => frameBudgetMs = value; }

        /// <summary>The session's id, for logs: what the sidecar keeps for these agents goes by it.</summary>
        public string Session => session;

        /// <summary>Number of ticks done.</summary>
        public uint Tick { get; private set; }

        public SidecarStatus Status => link.Status;

        /// <summary>Why the last call failed; null after one that succeeded.</summary>
        public Exception LastError => link.LastError;

        /// <summary>Calls over a transport of the caller's in place of gRPC-Web; the caller disposes of it.</summary>
        public void Use(ITransport transport)
        {
            Abandon();
            link.Use(transport);
        }

        internal void Add(NpcAgent agent)
        {
            agent.Id = ++lastId;
            agents.Add(agent);
        }

        internal void Remove(NpcAgent agent)
        {
            agents.Remove(agent);
        }

        void OnEnable()
        {
            nextTick = Time.time;
        }

        void OnDisable()
        {
            Abandon();
            if (link.Status == SidecarStatus.Connected) EndSession(link.Transport(address), link.Detach());
            else link.Release();
        }

        void Update()
        {
            if (describing != null && describing.IsCompleted) EndDescribing();
            if (call != null && call.IsCompleted) End();
            bool isIdle = call == null && describing == null;
            if (isIdle && agents.Count > 0 && Time.time >= nextTick && link.IsReady) Begin();
        }

        /// <summary>What the sidecar says of a policy; null until an agent of that model has joined and the sidecar was asked.</summary>
        public PolicyDescription Policy(string name)
        {
            return policies.TryGetValue(name, out var policy) ? policy : null;
        }

        void Begin()
        {
            var options = new CallOptions(TimeSpan.FromSeconds(timeoutSeconds));
            var transport = link.Transport(address);
            client = client == null ? new NpcClient(transport) : new NpcClient(transport, client);
            var stranger = agents.Find(agent => !policies.ContainsKey(ModelOf(agent)));
            if (stranger != null)
            {
                described = ModelOf(stranger);
                describing = client.DescribeAsync(described, 0, options);
                return;
            }
            Collect();
            if (groups.Count == 0)
            {
                nextTick = Time.time + tickSeconds;
                return;
            }
            var messages = groups.ConvertAll(group => group.Observations);
            call = client.ChooseAsync(messages, session, Tick, unchecked((ulong)seed), frameBudgetMs, options);
        }

        string ModelOf(NpcAgent agent)
        {
            return string.IsNullOrEmpty(agent.Model) ? model : agent.Model;
        }

        void EndDescribing()
        {
            var ended = describing;
            describing = null;
            if (Fails(ended)) return;
            policies[described] = ended.Result;
            link.Succeed();
        }

        bool Fails(Task ended)
        {
            if (!ended.IsFaulted && !ended.IsCanceled) return false;
            link.Fail(ended.Exception?.GetBaseException() ?? new OperationCanceledException());
            return true;
        }

        // An agent whose code throws stays out of the tick; the others go on.
        void Collect()
        {
            groups.Clear();
            foreach (var agent in agents.ToArray())
            {
                var group = GroupOf(ModelOf(agent));
                try
                {
                    agent.Write(group.Observations, policies[ModelOf(agent)]);
                    group.Agents.Add(agent);
                }
                catch (Exception error)
                {
                    group.Observations.ForgetNext();
                    if (Note(agent, error.Message, agent.Failure)) Debug.LogException(error, agent);
                }
            }
            groups.RemoveAll(group => group.Agents.Count == 0);
        }

        // Returns whether that is news.
        bool Note(NpcAgent agent, string failure, string before)
        {
            bool isNews = failure != null && failure != before;
            agent.Failure = failure;
            if (isNews) AgentFailed?.Invoke(agent);
            return isNews;
        }

        TickGroup GroupOf(string name)
        {
            var group = groups.Find(candidate => candidate.Observations.Model == name);
            if (group == null) groups.Add(group = new TickGroup(new NpcGroup(name, 0, isSeeded)));
            return group;
        }

        void End()
        {
            var ended = call;
            call = null;
            if (Fails(ended)) return;
            nextTick = Mathf.Max(nextTick + tickSeconds, Time.time - tickSeconds);
            if (ended.Result[0].SessionRestarted) SessionRestarted?.Invoke();
            Apply(ended.Result);
            link.Succeed();
            uint done = Tick;
            Tick++;
            Ticked?.Invoke(done);
        }

        void Apply(NpcActions[] answers)
        {
            for (int i = 0; i < groups.Count; i++)
            {
                for (int row = 0; row < groups[i].Agents.Count; row++) Hand(groups[i].Agents[row], answers[i], row);
                string name = groups[i].Observations.Model;
                var policy = Policy(name);
                if (policy != null && policy.Model.Version != answers[i].Model.Version) policies.Remove(name);
            }
        }

        // Agents may have gone since they observed.
        void Hand(NpcAgent agent, NpcActions answer, int row)
        {
            if (agent == null || !agent.isActiveAndEnabled || agent.Brain != this) return;
            answer.Failures.TryGetValue(agent.Id, out string failure);
            string before = agent.Failure;
            agent.Failure = failure;
            Exception thrown = null;
            try
            {
                agent.Take(answer[row]);
            }
            catch (Exception error)
            {
                thrown = error;
            }
            if (Note(agent, thrown == null ? failure : thrown.Message, before) && thrown != null) Debug.LogException(thrown, agent);
        }

        void Abandon()
        {
            call = null;
            describing = null;
            policies.Clear();
            groups.Clear();
        }

        // Nobody waits for the answer: a session that cannot be ended goes with time.
        async void EndSession(ITransport transport, IDisposable own)
        {
            try
            {
                var options = new CallOptions(TimeSpan.FromSeconds(timeoutSeconds));
                await new NpcClient(transport, client).EndSessionAsync(session, options);
            }
            catch (Exception error) when (error is RpcException || error is OperationCanceledException)
            {
            }
            finally
            {
                own?.Dispose();
            }
        }

        sealed class TickGroup
        {
            internal readonly NpcGroup Observations;
            internal readonly List<NpcAgent> Agents = new List<NpcAgent>();

            internal TickGroup(NpcGroup observations)
            {
                Observations = observations;
            }
        }
    }
}
