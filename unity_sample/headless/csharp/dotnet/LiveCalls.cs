using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Net.Http;
using System.Threading;
using System.Threading.Tasks;
using Metabridge.Transport;
using Metabridge.V1;

namespace Metabridge.Headless
{
    /// <summary>Calls a live sidecar over HTTP/2 and reports what comes back.</summary>
    sealed class LiveCalls
    {
        const int Agents = 5;
        const int TimedCalls = 200;

        readonly Action<string, string> report;
        readonly string folder;
        readonly string avatarModel;
        readonly string npcModel;
        PolicyDescription policy;
        readonly HttpClientTransport transport;

        internal LiveCalls(Action<string, string> report, string folder, string[] arguments)
        {
            this.report = report;
            this.folder = folder;
            transport = new HttpClientTransport("http://" + arguments[0], new SocketsHttpHandler());
            avatarModel = arguments[1];
            npcModel = arguments[2];
        }

        internal async Task Run()
        {
            report("runtime", Environment.Version.ToString());
            using (transport)
            {
                await Models();
                await Avatars();
                await Stream();
                await Npcs();
                await Errors();
                await Deadlines();
            }
        }

        async Task Models()
        {
            var client = new ModelClient(transport);
            var names = new List<string>();
            foreach (var model in await client.ListAsync()) names.Add(model.Name + ":" + model.Version + ":" + model.State);
            report("models", string.Join(" ", names));
            var one = await client.GetAsync(npcModel);
            report("card", one.CardJson.Contains("\"npc\"") && one.Graphs.Count == 1 ? "whole" : "not whole: " + one.CardJson);
        }

        async Task Avatars()
        {
            var settings = new AvatarSettings { Model = avatarModel, Truncation = 0.7f };
            var images = await new AvatarClient(transport).GenerateAsync(new[] { 7UL, ulong.MaxValue }, settings);
            foreach (var image in images) Write("avatar-" + image.Seed + ".rgba", image.Data);
            report("avatars", images.Length + " of " + images[0].Width + "x" + images[0].Height + " by " + images[0].Model.Provider);
        }

        async Task Stream()
        {
            var settings = new AvatarSettings { Model = avatarModel, Size = 1024, MipLevels = 11 };
            var sizes = new List<string>();
            await new AvatarClient(transport).StreamAsync(
                new[] { 1UL, 2UL, 3UL }, settings, image => sizes.Add(image.Seed + ":" + image.MipLevels + ":" + image.Data.Length));
            report("stream", string.Join(" ", sizes));
        }

        async Task Npcs()
        {
            policy = await new NpcClient(transport).DescribeAsync(npcModel);
            var observed = new List<string>();
            foreach (string name in policy.Observations)
            {
                var seen = policy.Observation(name);
                observed.Add(name + " " + seen.Dtype + " " + string.Join("x", seen.Shape));
            }
            report("described", string.Join(", ", observed));
            var group = Group(Agents);
            var actions = (await new NpcClient(transport).ChooseAsync(new[] { group }, "dotnet", 3))[0];
            var values = new List<string>();
            for (int row = 0; row < Agents; row++)
            {
                for (int i = 0; i < 3; i++) values.Add(actions[row].Discrete("action", i).ToString(CultureInfo.InvariantCulture));
            }
            report("actions", string.Join(" ", values));
            report("statuses", string.Join(" ", actions.Statuses));
            report("log-probabilities", string.Join(" ", actions.LogProbabilities));
            report("unknown action", Caught(() => actions[0].Continuous("jump", 0)));
            report("ended", (await new NpcClient(transport).EndSessionAsync("dotnet")).ToString());
            group = Group(1);
            Add(group, 2, float.NaN);
            actions = (await new NpcClient(transport).ChooseAsync(new[] { group }))[0];
            report("one bad agent", actions[0].Status + " " + actions[1].Status + " " + actions[1].Source);
            report("failure", actions.Failures[2]);
            report("call ms", await Time());
        }

        async Task<string> Time()
        {
            var times = new List<string>();
            var group = Group(32);
            for (int i = 0; i < TimedCalls; i++)
            {
                var watch = Stopwatch.StartNew();
                await new NpcClient(transport).ChooseAsync(new[] { group });
                times.Add(watch.Elapsed.TotalMilliseconds.ToString("0.000", CultureInfo.InvariantCulture));
            }
            return string.Join(" ", times);
        }

        async Task Errors()
        {
            var npcs = new NpcClient(transport);
            report("no agents", await Failure(() => npcs.ChooseAsync(new[] { Empty() })));
            var avatars = new AvatarClient(transport);
            var unknown = new AvatarSettings { Model = "nobody" };
            report("unknown model", await Failure(() => avatars.GenerateAsync(new[] { 1UL }, unknown)));
            var broken = new AvatarSettings { Model = avatarModel, Size = 33 };
            report("bad size", await Failure(() => avatars.GenerateAsync(new[] { 1UL }, broken)));
            report("bad size in a stream", await Failure(() => avatars.StreamAsync(new[] { 1UL }, broken, image => { })));
            var thrown = new AvatarSettings { Model = avatarModel };
            report("callback throws", await Failure(() => avatars.StreamAsync(new[] { 1UL }, thrown, image => throw new FormatException("mine"))));
            using (var nowhere = new HttpClientTransport("http://127.0.0.1:9", new SocketsHttpHandler()))
            {
                report("no server", await Failure(() => new ModelClient(nowhere).ListAsync()));
            }
        }

        async Task Deadlines()
        {
            var avatars = new AvatarClient(transport);
            var large = new AvatarSettings { Model = avatarModel, Size = 4096 };
            var seeds = new ulong[16];
            for (int i = 0; i < seeds.Length; i++) seeds[i] = (ulong)i;
            var soon = new CallOptions(TimeSpan.FromMilliseconds(5));
            report("deadline", await Failure(() => avatars.StreamAsync(seeds, large, image => { }, soon)));
            using (var source = new CancellationTokenSource())
            {
                var options = new CallOptions(null, source.Token);
                report("cancelled", await Failure(() => avatars.StreamAsync(seeds, large, image => source.Cancel(), options)));
            }
            report("after", (await new ModelClient(transport).ListAsync()).Count + " models");
        }

        NpcGroup Group(int agents)
        {
            var group = new NpcGroup(npcModel);
            for (int agent = 0; agent < agents; agent++) Add(group, (ulong)agent + 1, 0.125f * (agent + 1));
            return group;
        }

        // An agent that observes one value everywhere and may do anything but its last act.
        void Add(NpcGroup group, ulong id, float value)
        {
            foreach (string name in policy.Observations)
            {
                long size = 1;
                foreach (long axis in policy.Observation(name).Shape) size *= axis;
                var values = new float[size];
                for (int i = 0; i < values.Length; i++) values[i] = value;
                policy.Write(group, name, values);
            }
            var mask = new bool[policy.MaskWidth];
            for (int i = 0; i < mask.Length - 1; i++) mask[i] = true;
            group.Allow(mask);
            group.AddAgent(id, true);
        }

        NpcGroup Empty()
        {
            var group = Group(1);
            group.Clear();
            return group;
        }

        void Write(string name, byte[] data)
        {
            File.WriteAllBytes(Path.Combine(folder, name), data);
        }

        static async Task<string> Failure(Func<Task> call)
        {
            try
            {
                await call();
                return "nothing";
            }
            catch (RpcException error)
            {
                return error.Status + "|" + error.Field + "|" + error.Details.Reason + "|" + error.Message;
            }
            catch (Exception error)
            {
                return error.GetType().Name + "|" + error.Message;
            }
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
