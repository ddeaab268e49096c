using System;
using System.Collections.Generic;
using System.Threading;
using System.Threading.Tasks;
using Metabridge.Transport;

namespace Metabridge.Headless
{
    /// <summary>
    /// Begins long morphs until a sidecar that runs few calls at once refuses one more, and sees whether cancelling them frees it.
    /// </summary>
    sealed class CancelledMorphs
    {
        const int Most = 8;
        const int Tries = 200;

        readonly Action<string, string> report;
        readonly AvatarClient client;
        volatile int given;

        internal CancelledMorphs(Action<string, string> report, ITransport transport)
        {
            this.report = report;
            client = new AvatarClient(transport);
        }

        internal async Task Run()
        {
            using (var source = new CancellationTokenSource())
            {
                var morphs = new List<Task>();
                string said = "nothing";
                for (int i = 0; i < Most && said == "nothing"; i++)
                {
                    morphs.Add(Begin(source.Token));
                    while (given <= i && !morphs[i].IsCompleted) await Task.Delay(20);
                    said = await Call();
                }
                report("while they run", said);
                await Task.Delay(200);
                report("frames given", given == morphs.Count ? "one each" : given + " to " + morphs.Count);
                source.Cancel();
                foreach (var morph in morphs) report("a cancelled one", await AvatarCalls.Failure(() => morph));
            }
            report("when they are cancelled", await WhenFree());
        }

        // Its first frame is given and never taken: cancelling does not wait for that.
        Task Begin(CancellationToken token)
        {
            var morph = new MorphSettings { SecondsPerKey = 1000f, FrameRate = 30f };
            var settings = new AvatarSettings { Model = "portrait" };
            Func<AvatarFrame, Task> never = frame =>
            {
                given++;
                return new TaskCompletionSource<bool>().Task;
            };
            return client.MorphAsync(new[] { 1UL, 2UL }, settings, morph, never, new CallOptions(null, token));
        }

        async Task<string> WhenFree()
        {
            string said = await Call();
            for (int i = 0; i < Tries && said != "nothing"; i++)
            {
                await Task.Delay(50);
                said = await Call();
            }
            return said;
        }

        Task<string> Call()
        {
            var settings = new AvatarSettings { Model = "portrait" };
            return AvatarCalls.Failure(() => client.GenerateAsync(new[] { 1UL }, settings));
        }
    }
}
