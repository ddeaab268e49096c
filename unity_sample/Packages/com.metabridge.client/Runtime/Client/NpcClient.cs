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

        public NpcClient(ITransport transport)
        {
            service = new NpcServiceClient(transport);
        }

        /// <summary>
        /// Chooses the actions of every agent, one answer a group in the order of the groups, whose models differ. With an empty
        /// session nothing is kept from call to call.
        /// </summary>
        public async Task<NpcActions[]> ChooseAsync(
            IEnumerable<NpcGroup> groups, string session = "", uint tick = 0, ulong seed = 0, CallOptions options = default)
        {
            var request = new ChooseActionsRequest { SessionId = session, Tick = tick, Seed = seed };
            foreach (var group in groups) request.Groups.Add(Message(group));
            var response = await service.ChooseActionsAsync(request, options);
            var actions = new NpcActions[response.Groups.Count];
            for (int i = 0; i < actions.Length; i++) actions[i] = new NpcActions(response.Groups[i]);
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
            var response = await service.EndSessionAsync(new EndSessionRequest { SessionId = session }, options);
            return response.Existed;
        }

        static PolicyGroup Message(NpcGroup group)
        {
            var message = new PolicyGroup
            {
                Name = group.Version == 0 ? group.Model : group.Model + "/" + group.Version,
                Model = ModelClient.Selector(group.Model, group.Version),
                Sampling = group.IsSeeded ? Sampling.Seeded : Sampling.Deterministic,
            };
            message.AgentIds.AddRange(group.Agents);
            message.EpisodeStarts.AddRange(group.EpisodeStarts);
            group.WriteTo(message);
            return message;
        }
    }
}
