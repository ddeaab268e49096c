using System;
using System.Collections;
using System.Threading;
using System.Threading.Tasks;
using Metabridge.Sample;
using Metabridge.Transport;
using Metabridge.V1;
using UnityEngine;

namespace Metabridge.Headless
{
    /// <summary>Offers CartPole to a trainer from inside the player, message by message over UnityWebRequest.</summary>
    sealed class EnvironmentPlay
    {
        readonly Scenario scenario;
        readonly Action<string, string> report;

        internal EnvironmentPlay(Scenario scenario, Action<string, string> report)
        {
            this.scenario = scenario;
            this.report = report;
        }

        internal IEnumerator Run()
        {
            using (var transport = new UnityWebRequestTransport(scenario.trainer))
            {
                var world = new Watched(new CartPoleEnvironment(scenario.environment_rows));
                var client = new EnvironmentClient(transport, world);
                int frame = Time.frameCount;
                var run = client.RunAsync();
                while (!run.IsCompleted) yield return null;
                var error = run.Exception == null ? null : run.Exception.GetBaseException();
                report("environment", error == null ? client.Farewell : error.Message);
                report("environment steps", client.Steps.ToString());
                report("environment frames", (Time.frameCount - frame).ToString());
                report("environment threads", world.Threads);
            }
        }

        // A world that waits a frame in some steps, as physics does, and notes on which threads it is called.
        sealed class Watched : IEnvironment
        {
            const int TicksWithoutPause = 10;

            readonly IEnvironment inner;
            readonly int main = Thread.CurrentThread.ManagedThreadId;
            bool wasElsewhere;
            int ticks;

            public EnvironmentSpec Spec => inner.Spec;

            internal string Threads => wasElsewhere ? "other threads" : "main thread";

            internal Watched(IEnvironment inner)
            {
                this.inner = inner;
            }

            public Task ResetAsync(EnvironmentReset reset, EnvironmentFrame frame)
            {
                wasElsewhere |= Thread.CurrentThread.ManagedThreadId != main;
                return inner.ResetAsync(reset, frame);
            }

            public async Task StepAsync(EnvironmentActions actions, EnvironmentFrame frame)
            {
                wasElsewhere |= Thread.CurrentThread.ManagedThreadId != main;
                if (++ticks % TicksWithoutPause == 0) await Task.Delay(1);
                wasElsewhere |= Thread.CurrentThread.ManagedThreadId != main;
                await inner.StepAsync(actions, frame);
            }
        }
    }
}
