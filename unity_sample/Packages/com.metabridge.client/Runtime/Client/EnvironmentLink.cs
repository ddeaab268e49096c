using System;
using System.Collections.Generic;
using System.Threading;
using System.Threading.Tasks;
using Metabridge.Transport;
using Metabridge.V1;

namespace Metabridge
{
    /// <summary>Carries reports to a trainer and its commands back, one after the other.</summary>
    abstract class EnvironmentLink : IDisposable
    {
        /// <summary>Sends a report and returns the answer; RpcException when none comes within a time.</summary>
        internal abstract Task<EnvironmentCommand> ExchangeAsync(EnvironmentReport report, TimeSpan patience);

        public abstract void Dispose();
    }

    /// <summary>One call for each report: over any transport.</summary>
    sealed class UnaryLink : EnvironmentLink
    {
        readonly EnvironmentServiceClient service;
        readonly IReadOnlyDictionary<string, string> metadata;
        readonly CancellationToken cancellation;

        internal UnaryLink(
            EnvironmentServiceClient service, IReadOnlyDictionary<string, string> metadata, CancellationToken cancellation)
        {
            this.service = service;
            this.metadata = metadata;
            this.cancellation = cancellation;
        }

        internal override async Task<EnvironmentCommand> ExchangeAsync(EnvironmentReport report, TimeSpan patience)
        {
            var within = new CallOptions(patience, cancellation, metadata);
            var request = new ExchangeEnvironmentRequest { Report = report };
            return (await service.ExchangeEnvironmentAsync(request, within)).Command;
        }

        public override void Dispose()
        {
        }
    }

    /// <summary>One stream for all reports: over HTTP/2.</summary>
    sealed class StreamLink : EnvironmentLink
    {
        readonly IDuplexCall<OfferEnvironmentRequest, OfferEnvironmentResponse> call;
        readonly CancellationToken cancellation;

        internal StreamLink(
            EnvironmentServiceClient service, IReadOnlyDictionary<string, string> metadata, CancellationToken cancellation)
        {
            call = service.OfferEnvironment(new CallOptions(null, CancellationToken.None, metadata));
            this.cancellation = cancellation;
        }

        internal override async Task<EnvironmentCommand> ExchangeAsync(EnvironmentReport report, TimeSpan patience)
        {
            using (var over = CancellationTokenSource.CreateLinkedTokenSource(cancellation))
            {
                var turn = Turn(report);
                var late = Task.Delay(patience, over.Token);
                bool isLate = await Task.WhenAny(turn, late).ConfigureAwait(false) == late;
                over.Cancel();
                if (!isLate) return await turn.ConfigureAwait(false);
                cancellation.ThrowIfCancellationRequested();
                throw new RpcException(StatusCode.DeadlineExceeded, "no command within " + patience);
            }
        }

        public override void Dispose()
        {
            call.Dispose();
        }

        async Task<EnvironmentCommand> Turn(EnvironmentReport report)
        {
            await call.WriteAsync(new OfferEnvironmentRequest { Report = report }).ConfigureAwait(false);
            var response = await call.ReadAsync().ConfigureAwait(false);
            return response?.Command ?? throw new RpcException(StatusCode.Unavailable, "the trainer ended the stream");
        }
    }
}
