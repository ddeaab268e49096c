using System;
using System.Collections.Generic;
using System.Globalization;
using System.Threading.Tasks;
using Metabridge.Transport;

namespace Metabridge.Headless
{
    /// <summary>Calls of the NPC client over any transport: descriptions, memory from tick to tick, masks, agents that fail.</summary>
    sealed class PolicyCalls
    {
        readonly Action<string, string> report;
        readonly NpcClient client;

        internal PolicyCalls(Action<string, string> report, ITransport transport)
        {
            this.report = report;
            client = new NpcClient(transport);
        }

        internal async Task Run()
        {
            await Describe();
            await Remember();
            await Mask();
        }

        async Task Describe()
        {
            var scout = await client.DescribeAsync("scout");
            var guard = await client.DescribeAsync("guard");
            var picture = scout.Observation("picture");
            string shape = string.Join("x", picture.Shape);
            report("scout", scout.Model.Version + " " + shape + " " + picture.Layout + " " + scout.IsRecurrent + " " + scout.TickSeconds);
            report("guard", string.Join(",", guard.Actions) + " " + guard.MaskWidth + " " + guard.IsRecurrent + " " + guard.IsStochastic);
            report("branches", string.Join(",", guard.Action("act").Branches) + " " + guard.Observation("position").Units);
            guard.Expect("position", new[] { "x", "y", "z" });
            report("other order", Caught(() => guard.Expect("position", new[] { "x", "z", "y" })));
            report("other number", Caught(() => guard.Expect("position", new[] { "x" })));
            report("other observation", Caught(() => guard.Expect("place", new[] { "x" })));
            report("other action", Caught(() => guard.Action("jump")));
            report("unwritten", Caught(() => guard.Write(new NpcGroup("guard"), "position", new float[2])));
        }

        // Agents 1 and 2 see 10 and 20, then 1 and 2, then nothing, with another start of agent 2; agent 3 comes without a start.
        async Task Remember()
        {
            report("turns", await Turns(Scouts(10, 20, true, true)) + "; " + await Turns(Scouts(1, 2, false, false)));
            report("turns after a start", await Turns(Scouts(0, 0, false, true)));
            var group = Scouts(0, 0, false, false);
            Scout(group, 3, 0, false);
            var actions = (await client.ChooseAsync(new[] { group, Guards() }, "memory"))[0];
            report("lost", string.Join(" ", actions.Statuses) + "|" + actions.Failures[3]);
            report("ended", (await client.EndSessionAsync("memory")) + " " + (await client.EndSessionAsync("memory")));
            report("forgotten", string.Join(" ", (await client.ChooseAsync(new[] { Scouts(0, 0, false, true) }, "memory"))[0].Statuses));
            await client.EndSessionAsync("memory");
        }

        async Task Mask()
        {
            var actions = (await client.ChooseAsync(new[] { Guards() }))[0];
            var said = new List<string>();
            for (int row = 0; row < 3; row++) said.Add(actions[row].Status + ":" + actions[row].Discrete("act", 0) + actions[row].Discrete("act", 1));
            report("masked", string.Join(" ", said));
            report("masked failure", actions.Failures[3]);
        }

        async Task<string> Turns(NpcGroup group)
        {
            var actions = (await client.ChooseAsync(new[] { group }, "memory"))[0];
            var turns = new List<string>();
            for (int row = 0; row < 2; row++) turns.Add(actions[row].Continuous("turn", 0).ToString(CultureInfo.InvariantCulture));
            return string.Join(" ", turns);
        }

        static NpcGroup Scouts(byte first, byte second, bool starts, bool startsSecond)
        {
            var group = new NpcGroup("scout");
            Scout(group, 1, first, starts);
            Scout(group, 2, second, startsSecond);
            return group;
        }

        static void Scout(NpcGroup group, ulong id, byte light, bool starts)
        {
            var pixels = new byte[12];
            for (int i = 0; i < pixels.Length; i++) pixels[i] = light;
            group.ObservePicture("picture", pixels, 2, 2, 3);
            group.ObserveCategory("door", 0);
            group.AddAgent(id, starts);
        }

        // Agent 1 may do the last of both branches alone, agent 2 the first, agent 3 nothing of the second branch.
        static NpcGroup Guards()
        {
            var group = new NpcGroup("guard");
            for (int i = 0; i < 3; i++)
            {
                group.Observe("position", 1f, 2f, 3f);
                group.Allow(i == 1, false, i != 1, i == 1, i == 0);
                group.AddAgent((ulong)i + 1, true);
            }
            return group;
        }

        static string Caught(Action action)
        {
            try
            {
                action();
                return "nothing";
            }
            catch (ArgumentException error)
            {
                return error.Message;
            }
        }
    }
}
