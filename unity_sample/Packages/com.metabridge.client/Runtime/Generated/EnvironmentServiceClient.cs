// Generated from bridge/v1/environment_service.proto by proto/protoc_gen_metabridge_csharp.py; never edited.
using System;
using System.Threading.Tasks;
using Metabridge.Transport;

namespace Metabridge.V1
{
    /// <summary>
    /// Served by a trainer, called by an engine. The two take turns: the engine reports, the trainer answers with a command, the engine
    /// does it and reports again. Both methods carry the same messages and may be mixed; a stream is quicker, the unary exchange works
    /// over gRPC-Web. An engine begins with REPORT_KIND_OFFER on every new stream, and once where it exchanges.
    /// </summary>
    public sealed class EnvironmentServiceClient
    {
        static readonly Method<OfferEnvironmentRequest, OfferEnvironmentResponse> OfferEnvironmentMethod =
            new Method<OfferEnvironmentRequest, OfferEnvironmentResponse>("/bridge.v1.EnvironmentService/OfferEnvironment", OfferEnvironmentResponse.Parser);

        static readonly Method<ExchangeEnvironmentRequest, ExchangeEnvironmentResponse> ExchangeEnvironmentMethod =
            new Method<ExchangeEnvironmentRequest, ExchangeEnvironmentResponse>("/bridge.v1.EnvironmentService/ExchangeEnvironment", ExchangeEnvironmentResponse.Parser);

        readonly ITransport transport;

        /// <summary>Makes its calls over a transport, which stays the caller's to dispose of.</summary>
        public EnvironmentServiceClient(ITransport transport)
        {
            this.transport = transport;
        }

        /// <summary>
        /// Reports up and commands down in one call, a command for each report. Over HTTP/2 only.
        /// </summary>
        public IDuplexCall<OfferEnvironmentRequest, OfferEnvironmentResponse> OfferEnvironment(CallOptions options = default)
        {
            return transport.Duplex(OfferEnvironmentMethod, options);
        }

        /// <summary>
        /// One report and the command that answers it. An exchange that failed may be sent again: a report that was taken before is not taken
        /// twice.
        /// </summary>
        public Task<ExchangeEnvironmentResponse> ExchangeEnvironmentAsync(ExchangeEnvironmentRequest request, CallOptions options = default)
        {
            return transport.UnaryAsync(ExchangeEnvironmentMethod, request, options);
        }
    }
}
