using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Threading;
using System.Threading.Tasks;
using Metabridge.Transport;
using Metabridge.V1;

namespace Metabridge
{
    /// <summary>
    /// Offers a game's world to a trainer and does what that says, until the training is over. It streams over a transport that
    /// can, and exchanges message by message over any other. A connection that is lost is made again: no tick is lost or done twice.
    /// </summary>
    public sealed class EnvironmentClient
    {
        public const uint ProtocolVersion = 1;

        const double FirstPauseSeconds = 0.1;
        const double LongestPauseSeconds = 2;

        readonly ITransport transport;
        readonly EnvironmentServiceClient service;
        readonly IEnvironment environment;
        readonly IReadOnlyDictionary<string, string> metadata;
        readonly EnvironmentFrame frame;
        readonly Stopwatch away = Stopwatch.StartNew();
        TimeSpan heartbeat = TimeSpan.FromSeconds(5);
        TimeSpan silence = TimeSpan.FromSeconds(30);
        double pauseSeconds = FirstPauseSeconds;
        string token = "";
        ulong sequence;
        Task<EnvironmentReport> work;
        EnvironmentReport done;

        /// <summary>A connection failed; it is made again.</summary>
        public event Action<RpcException> Failed;

        /// <summary>How long a trainer that does not answer is tried; then RunAsync throws.</summary>
        public TimeSpan ReconnectTime { get; set; } = TimeSpan.FromSeconds(60);

        /// <summary>Whether the last exchange with the trainer went well.</summary>
        public bool IsConnected { get; private set; }

        /// <summary>Why the last connection failed; null after an exchange that went well.</summary>
        public Exception LastError { get; private set; }

        /// <summary>Ticks that were stepped.</summary>
        public long Steps { get; private set; }

        /// <summary>What the trainer said when it closed; empty before.</summary>
        public string Farewell { get; private set; } = "";

        /// <summary>Offers an environment over a transport, which stays the caller's to dispose of; metadata holds a token, if any.</summary>
        public EnvironmentClient(
            ITransport transport, IEnvironment environment, IReadOnlyDictionary<string, string> metadata = null)
        {
            this.transport = transport;
            this.environment = environment;
            this.metadata = metadata;
            service = new EnvironmentServiceClient(transport);
            frame = new EnvironmentFrame(environment.Spec);
        }

        /// <summary>
        /// Runs until the trainer says that the training is over. RpcException when it refuses the offer, or is away for longer than
        /// <see cref="ReconnectTime"/>; what the environment throws ends it too. When cancelled it takes leave of the trainer first.
        /// </summary>
        public async Task RunAsync(CancellationToken cancellation = default)
        {
            try
            {
                away.Restart();
                while (!await Session(cancellation))
                {
                }
            }
            catch (OperationCanceledException)
            {
                await Leave("the game ended it");
                throw;
            }
        }

        // Whether the trainer has closed; false when the connection is to be made again.
        async Task<bool> Session(CancellationToken cancellation)
        {
            RpcException failure;
            try
            {
                using (var link = Open(cancellation)) return await UntilItEnds(link);
            }
            catch (RpcException error)
            {
                failure = error;
            }
            cancellation.ThrowIfCancellationRequested();
            IsConnected = false;
            LastError = failure;
            bool isForgotten = failure.Status == StatusCode.NotFound && token.Length > 0;
            if (!isForgotten && (!IsPassing(failure.Status) || away.Elapsed > ReconnectTime)) throw failure;
            Failed?.Invoke(failure);
            if (isForgotten) await Forget();
            await Task.Delay(TimeSpan.FromSeconds(pauseSeconds), cancellation);
            pauseSeconds = Math.Min(2 * pauseSeconds, LongestPauseSeconds);
            return false;
        }

        EnvironmentLink Open(CancellationToken cancellation)
        {
            if (transport is IDuplexTransport) return new StreamLink(service, metadata, cancellation);
            return new UnaryLink(service, metadata, cancellation);
        }

        // Leave is taken before a stream ends, so that the trainer knows the reason when it sees the end.
        async Task<bool> UntilItEnds(EnvironmentLink link)
        {
            try
            {
                return await Converse(link);
            }
            catch (Exception error) when (!(error is RpcException))
            {
                await Leave(error is OperationCanceledException ? "the game ended it" : error.Message);
                throw;
            }
        }

        async Task<bool> Converse(EnvironmentLink link)
        {
            var report = new EnvironmentReport
            {
                Kind = ReportKind.Offer, ProtocolVersion = ProtocolVersion, Spec = environment.Spec, Sequence = sequence,
            };
            while (true)
            {
                var command = await Exchange(link, report);
                if (report.Kind == ReportKind.Done) done = null;
                if (command.ResumeToken.Length > 0) token = command.ResumeToken;
                if (IsOver(command)) return true;
                if (command.Kind != CommandKind.Wait && command.Sequence != sequence) Begin(command);
                if (work != null && await Working(link)) return true;
                report = done ?? Heartbeat();
            }
        }

        async Task<EnvironmentCommand> Exchange(EnvironmentLink link, EnvironmentReport report)
        {
            report.ResumeToken = token;
            var command = await link.ExchangeAsync(report, silence);
            if (command.HeartbeatSeconds > 0) heartbeat = TimeSpan.FromSeconds(command.HeartbeatSeconds);
            if (command.SilenceSeconds > 0) silence = TimeSpan.FromSeconds(command.SilenceSeconds);
            IsConnected = true;
            LastError = null;
            pauseSeconds = FirstPauseSeconds;
            away.Restart();
            return command;
        }

        void Begin(EnvironmentCommand command)
        {
            sequence = command.Sequence;
            done = null;
            work = Perform(command);
        }

        async Task<EnvironmentReport> Perform(EnvironmentCommand command)
        {
            frame.Clear();
            bool isStep = command.Kind == CommandKind.Step;
            if (isStep) await environment.StepAsync(new EnvironmentActions(command, frame.Rows), frame);
            else await environment.ResetAsync(new EnvironmentReset(command), frame);
            if (isStep) Steps++;
            return frame.ToReport(command.Sequence, isStep);
        }

        // Waits for the work, with a sign of life now and then; whether the trainer has closed meanwhile.
        async Task<bool> Working(EnvironmentLink link)
        {
            bool isOver = false;
            while (!work.IsCompleted && !isOver)
            {
                if (await Task.WhenAny(work, Task.Delay(heartbeat)) != work) isOver = IsOver(await Exchange(link, Heartbeat()));
            }
            done = await work;
            work = null;
            return isOver;
        }

        EnvironmentReport Heartbeat()
        {
            return new EnvironmentReport { Kind = ReportKind.Heartbeat, Sequence = sequence };
        }

        bool IsOver(EnvironmentCommand command)
        {
            if (command.Kind != CommandKind.Close) return false;
            Farewell = command.Message;
            return true;
        }

        // The trainer was started anew: it knows nothing of this session.
        async Task Forget()
        {
            token = "";
            sequence = 0;
            done = null;
            if (work != null) await work;
            work = null;
        }

        async Task Leave(string reason)
        {
            if (token.Length == 0) return;
            var report = new EnvironmentReport { Kind = ReportKind.Close, ResumeToken = token, Message = reason, Sequence = sequence };
            var options = new CallOptions(TimeSpan.FromSeconds(2), CancellationToken.None, metadata);
            try
            {
                await service.ExchangeEnvironmentAsync(new ExchangeEnvironmentRequest { Report = report }, options);
            }
            catch (RpcException)
            {
                // The trainer finds out by itself.
            }
            token = "";
        }

        static bool IsPassing(StatusCode status)
        {
            return status == StatusCode.Unavailable || status == StatusCode.DeadlineExceeded || status == StatusCode.Cancelled ||
                status == StatusCode.ResourceExhausted;
        }
    }
}
