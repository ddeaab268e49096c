using System;
using System.Collections.Generic;
using System.Threading.Tasks;
using Metabridge.Transport;
using Metabridge.V1;

namespace Metabridge
{
    /// <summary>Runs policies: one call a tick for the agents of all groups.</summary>
    public sealed class NpcClient
    {
        readonly NpcServiceClient service;
        readonly Dictionary<string, ulong> keepers;

        public NpcClient(ITransport transport)
        {
            service = new NpcServiceClient(transport);
            keepers = new Dictionary<string, ulong>();
        }

        /// <summary>Goes on over another transport with the sessions of an earlier client.</summary>
        public NpcClient(ITransport transport, NpcClient before)
        {
            service = new NpcServiceClient(transport);
            keepers = before.keepers;
        }

        /// <summary>
        /// Chooses the actions of every agent, one answer a group in the order of the groups, whose models differ. With an empty
        /// session nothing is kept from call to call: a recurrent policy gives its states in the answer, and the next call brings
        /// them. With a frame budget the answer leaves the sidecar after so many milliseconds, whatever is ready: the agents of a
        /// late policy have the status Late, and their last action or a neutral one. 0 waits for every policy.
        /// </summary>
        public async Task<NpcActions[]> ChooseAsync(
            IEnumerable<NpcGroup> groups, string session = "", uint tick = 0, ulong seed = 0, float frameBudgetMs = 0f,
            CallOptions options = default)
        {
            keepers.TryGetValue(session, out ulong keeper);
            var request = new ChooseActionsRequest
            {
                SessionId = session, Tick = tick, Seed = seed, FrameBudgetMs = frameBudgetMs, Keeper = keeper,
            };
            foreach (var group in groups) request.Groups.Add(Message(group));
            var response = await service.ChooseActionsAsync(request, options);
            if (session.Length > 0) keepers[session] = response.Keeper;
            var actions = new NpcActions[response.Groups.Count];
            for (int i = 0; i < actions.Length; i++) actions[i] = new NpcActions(response.Groups[i], response.SessionRestarted);
            return actions;
        }

        /// <summary>Describes what a policy observes and how it acts: names, order, ranges, units. Version 0 is the latest.</summary>
        public async Task<PolicyDescription> DescribeAsync(string model, int version = 0, CallOptions options = default)
        {
            var request = new DescribePolicyRequest { Model = ModelClient.Selector(model, version) };
            return new PolicyDescription(await service.DescribePolicyAsync(request, options));
        }

        /// <summary>Ends a session; returns whether the sidecar kept anything for it.</summary>
        public async Task<bool> EndSessionAsync(string session, CallOptions options = default)
        {
            keepers.Remove(session);
            var response = await service.EndSessionAsync(new EndSessionRequest { SessionId = session }, options);
            return response.Existed;
        }

        /// <summary>
        /// Holds a session until the call is cancelled through its options, or the game or its connection is gone: then the sidecar
        /// ends the session, so that a game that crashes leaves nothing behind. The task ends when the sidecar stops.
        /// </summary>
        public Task HoldSessionAsync(string session, Action held = null, CallOptions options = default)
        {
            return service.HoldSessionAsync(new HoldSessionRequest { SessionId = session }, message => Told(held), options);
        }

        static Task Told(Action held)
        {
            held?.Invoke();
            return Task.CompletedTask;
        }

        static PolicyGroup Message(NpcGroup group)
        {
            var message = new PolicyGroup
            {
                Name = group.Version == 0 ? group.Model : group.Model + "/" + group.Version,
                Model = ModelClient.Selector(group.Model, group.Version),
                Sampling = group.IsSeeded ? Sampling.Seeded : Sampling.Deterministic,
                FrameBudgetMs = group.FrameBudgetMs,
            };
            message.AgentIds.AddRange(group.Agents);
            message.EpisodeStarts.AddRange(group.EpisodeStarts);
            group.WriteTo(message);
            return message;
        }
    }
}
