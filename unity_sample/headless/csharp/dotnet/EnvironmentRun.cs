using System;
using System.Diagnostics;
using System.Globalization;
using System.Net.Http;
using System.Threading;
using System.Threading.Tasks;
using Metabridge.Sample;
using Metabridge.Transport;

namespace Metabridge.Headless
{
    /// <summary>Offers CartPole to a trainer and steps it until the training is over.</summary>
    static class EnvironmentRun
    {
        /// <summary>Arguments: the trainer's address, rows, "stream" or "unary", and optionally ticks after which to leave.</summary>
        internal static async Task Run(Action<string, string> report, string[] arguments)
        {
            int rows = int.Parse(arguments[1], CultureInfo.InvariantCulture);
            long leaveAfter = arguments.Length > 3 ? long.Parse(arguments[3], CultureInfo.InvariantCulture) : long.MaxValue;
            using (var http = new HttpClientTransport("http://" + arguments[0], new SocketsHttpHandler()))
            using (var leaving = new CancellationTokenSource())
            {
                var cartPole = new CartPoleEnvironment(rows);
                var world = new Leaving(cartPole, leaveAfter, leaving);
                var client = new EnvironmentClient(arguments[2] == "stream" ? http : (ITransport)new UnaryOnly(http), world);
                int failures = 0;
                client.Failed += error => failures++;
                var watch = Stopwatch.StartNew();
                try
                {
                    await client.RunAsync(leaving.Token);
                    report("farewell", client.Farewell);
                }
                catch (OperationCanceledException)
                {
                    report("left", "after " + client.Steps + " steps");
                }
                catch (RpcException error)
                {
                    report("refused", error.Status + "|" + error.Field + "|" + error.Message);
                }
                report("steps", client.Steps.ToString(CultureInfo.InvariantCulture));
                report("failures", failures.ToString(CultureInfo.InvariantCulture));
                report("seconds", watch.Elapsed.TotalSeconds.ToString("0.00", CultureInfo.InvariantCulture));
            }
        }
    }

    /// <summary>A world that cancels its own run after so many ticks.</summary>
    sealed class Leaving : IEnvironment
    {
        readonly IEnvironment inner;
        readonly CancellationTokenSource leaving;
        long left;

        public V1.EnvironmentSpec Spec => inner.Spec;

        internal Leaving(IEnvironment inner, long ticks, CancellationTokenSource leaving)
        {
            this.inner = inner;
            left = ticks;
            this.leaving = leaving;
        }

        public Task ResetAsync(EnvironmentReset reset, EnvironmentFrame frame)
        {
            return inner.ResetAsync(reset, frame);
        }

        public Task StepAsync(EnvironmentActions actions, EnvironmentFrame frame)
        {
            if (--left <= 0) leaving.Cancel();
            return inner.StepAsync(actions, frame);
        }
    }
}
