// Generated from bridge/v1/npc_service.proto by proto/protoc_gen_metabridge_csharp.py; never edited.
using System;
using System.Threading.Tasks;
using Metabridge.Transport;

namespace Metabridge.V1
{
    /// <summary>
    /// Runs policies: observations in, actions out.
    /// </summary>
    public sealed class NpcServiceClient
    {
        static readonly Method<ChooseActionsRequest, ChooseActionsResponse> ChooseActionsMethod =
            new Method<ChooseActionsRequest, ChooseActionsResponse>("/bridge.v1.NpcService/ChooseActions", ChooseActionsResponse.Parser);

        static readonly Method<DescribePolicyRequest, DescribePolicyResponse> DescribePolicyMethod =
            new Method<DescribePolicyRequest, DescribePolicyResponse>("/bridge.v1.NpcService/DescribePolicy", DescribePolicyResponse.Parser);

        static readonly Method<EndSessionRequest, EndSessionResponse> EndSessionMethod =
            new Method<EndSessionRequest, EndSessionResponse>("/bridge.v1.NpcService/EndSession", EndSessionResponse.Parser);

        static readonly Method<HoldSessionRequest, HoldSessionResponse> HoldSessionMethod =
            new Method<HoldSessionRequest, HoldSessionResponse>("/bridge.v1.NpcService/HoldSession", HoldSessionResponse.Parser);

        readonly ITransport transport;

        /// <summary>Makes its calls over a transport, which stays the caller's to dispose of.</summary>
        public NpcServiceClient(ITransport transport)
        {
            this.transport = transport;
        }

        /// <summary>
        /// Chooses the actions of every NPC of a tick in one call. A value that is bad for one agent fails that agent alone; a malformed
        /// structure fails the call with INVALID_ARGUMENT and the path of the field.
        /// </summary>
        public Task<ChooseActionsResponse> ChooseActionsAsync(ChooseActionsRequest request, CallOptions options = default)
        {
            return transport.UnaryAsync(ChooseActionsMethod, request, options);
        }

        /// <summary>
        /// Describes what a policy observes and how it acts: names, order, ranges, units.
        /// </summary>
        public Task<DescribePolicyResponse> DescribePolicyAsync(DescribePolicyRequest request, CallOptions options = default)
        {
            return transport.UnaryAsync(DescribePolicyMethod, request, options);
        }

        /// <summary>
        /// Forgets all that is kept for a session. Ending an unknown session is no error.
        /// </summary>
        public Task<EndSessionResponse> EndSessionAsync(EndSessionRequest request, CallOptions options = default)
        {
            return transport.UnaryAsync(EndSessionMethod, request, options);
        }

        /// <summary>
        /// Holds a session for as long as the call lasts: answers once, when the session is held, and ends the session when the last of its
        /// holders has cancelled, has lost its connection or is gone. So a game that crashes leaves nothing behind. It does not lengthen the
        /// time to live. RESOURCE_EXHAUSTED when half of the calls that may run at the same time hold sessions.
        /// </summary>
        public Task HoldSessionAsync(HoldSessionRequest request, Func<HoldSessionResponse, Task> onMessage, CallOptions options = default)
        {
            return transport.ServerStreamAsync(HoldSessionMethod, request, onMessage, options);
        }
    }
}
