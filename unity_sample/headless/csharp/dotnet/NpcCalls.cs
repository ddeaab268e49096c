using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Net.Http;
using System.Threading;
using System.Threading.Tasks;
using Metabridge.Transport;

namespace Metabridge.Headless
{
    /// <summary>
    /// Policies that remember, against two sidecars with the policies "diary" and "memoir", whose runs the first of them holds.
    /// </summary>
    sealed class NpcCalls
    {
        const int Pages = 8;
        const float Soon = 5f;

        readonly Action<string, string> report;

        internal NpcCalls(Action<string, string> report)
        {
            this.report = report;
        }

        internal async Task Run(string first, string second)
        {
            using (var transport = new HttpClientTransport("http://" + first, new SocketsHttpHandler()))
            using (var other = new HttpClientTransport("http://" + second, new SocketsHttpHandler()))
            {
                await Brought(new NpcClient(transport));
                await Late(new NpcClient(transport));
                await Moved(new NpcClient(transport), other);
                await Held(new NpcClient(transport));
            }
        }

        async Task Brought(NpcClient client)
        {
            var actions = (await client.ChooseAsync(new[] { Diary(10f, true, null) }))[0];
            actions = (await client.ChooseAsync(new[] { Diary(11f, false, actions) }))[0];
            report("brought", Read(actions, 0) + " and " + Read(actions, 1));
            var kept = (await client.ChooseAsync(new[] { Diary(1f, true, null) }, "kept"))[0];
            try
            {
                kept[0].State("pages");
            }
            catch (ArgumentException error)
            {
                report("kept", error.Message);
            }
        }

        async Task Late(NpcClient client)
        {
            var slow = Diary(1f, true, null, "memoir");
            slow.FrameBudgetMs = Soon;
            var answers = await client.ChooseAsync(new[] { slow, Diary(2f, true, null) }, "late");
            report("late group", answers[0][0].Status + " " + answers[0][0].Source);
            report("fast group", answers[1][0].Status + " " + answers[1][0].Source);
            var all = await client.ChooseAsync(new[] { Diary(1f, true, null, "memoir") }, frameBudgetMs: Soon);
            report("late call", all[0][0].Status + " " + all[0][0].Source);
        }

        async Task Moved(NpcClient client, ITransport other)
        {
            var actions = (await client.ChooseAsync(new[] { Diary(1f, true, null) }, "moved"))[0];
            report("at first", actions.SessionRestarted + " " + actions[0].Status);
            var moved = new NpcClient(other, client);
            actions = (await moved.ChooseAsync(new[] { Diary(2f, false, null) }, "moved"))[0];
            report("elsewhere", actions.SessionRestarted + " " + actions[0].Status);
            actions = (await client.ChooseAsync(new[] { Diary(3f, false, null) }, "moved"))[0];
            report("back", actions.SessionRestarted + " " + actions[0].Status + " " + Read(actions, 0));
        }

        async Task Held(NpcClient client)
        {
            using (var source = new CancellationTokenSource())
            {
                var isHeld = new TaskCompletionSource<bool>();
                var hold = client.HoldSessionAsync("held", () => isHeld.SetResult(true), new CallOptions(null, source.Token));
                await isHeld.Task;
                report("in a held session", (await client.ChooseAsync(new[] { Diary(1f, true, null) }, "held"))[0][0].Status.ToString());
                source.Cancel();
                try
                {
                    await hold;
                }
                catch (Exception error) when (error is RpcException || error is OperationCanceledException)
                {
                    report("let go", error.GetType().Name);
                }
            }
        }

        static NpcGroup Diary(float note, bool isEpisodeStart, NpcActions before, string model = "diary")
        {
            var group = new NpcGroup(model);
            for (int row = 0; row < 2; row++)
            {
                group.Observe("note", note + 10f * row);
                if (before != null) group.Bring("pages", new[] { Pages }, before[row].State("pages"));
                group.AddAgent((ulong)row + 1, isEpisodeStart);
            }
            return group;
        }

        static string Read(NpcActions actions, int row)
        {
            IEnumerable<float> notes = Enumerable.Range(0, Pages).Select(page => actions[row].Continuous("read", page));
            return string.Join(" ", notes.Where(note => note >= 0f).Select(note => note.ToString("R", CultureInfo.InvariantCulture)));
        }
    }
}
