using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Threading;
using System.Threading.Tasks;
using Metabridge.Transport;

namespace Metabridge.Headless
{
    /// <summary>
    /// Has calls of every kind on their way while the sidecar is killed, and goes on with the same clients when it is back. The same
    /// code runs on .NET and in the player. Files say how far each side is: "running", "gone" and "idle" are written here, "dead" and
    /// "back" by the test, which kills the sidecar after "running" and "idle".
    /// </summary>
    sealed class KilledSidecar
    {
        const string Session = "game";
        const int Pause = 50;

        static readonly TimeSpan Deadline = TimeSpan.FromSeconds(100);

        readonly Action<string, string> report;
        readonly string folder;
        readonly ModelClient models;
        readonly NpcClient npcs;
        readonly AvatarClient avatars;
        readonly SceneClient scenes;
        readonly SemaphoreSlim begun = new SemaphoreSlim(0);

        internal KilledSidecar(Action<string, string> report, string folder, ITransport transport)
        {
            this.report = report;
            this.folder = folder;
            models = new ModelClient(transport);
            npcs = new NpcClient(transport);
            avatars = new AvatarClient(transport);
            scenes = new SceneClient(transport);
        }

        internal async Task Run()
        {
            report("first tick", await Tick(true));
            report("second tick", await Tick(false));
            await Cut();
            while (!File.Exists(Path.Combine(folder, "dead"))) await Task.Delay(Pause);
            report("while it is gone", await AvatarCalls.Failure(() => models.ListAsync(options: Within())));
            Say("gone");
            report("first tick after it", await Back());
            report("an episode after it", await Tick(true) + "; " + await Tick(false));
            await Again();
            Say("idle");
            while (!File.Exists(Path.Combine(folder, "back"))) await Task.Delay(Pause);
            report("first tick after a kill between calls", await Tick(false));
        }

        // The test's sidecar lets the calls of "guard" and "face" wait for others to share a run with.
        async Task Cut()
        {
            var calls = new Dictionary<string, Task<string>>
            {
                ["actions"] = AvatarCalls.Failure(() => npcs.ChooseAsync(new[] { Scout(false), Guard() }, Session, 2, 0, 0f, Within())),
                ["avatars"] = AvatarCalls.Failure(() => avatars.GenerateAsync(new[] { 1UL }, Face(), Within())),
                ["a stream of avatars"] = AvatarCalls.Failure(() => avatars.StreamAsync(new[] { 1UL }, Face(), image => { }, Within())),
                ["a morph"] = AvatarCalls.Failure(() => Morph(600f, true)),
                ["tiles"] = AvatarCalls.Failure(Worlds),
                ["a held session"] = AvatarCalls.Failure(() => npcs.HoldSessionAsync(Session, () => begun.Release(), Within())),
            };
            for (int i = 0; i < 3; i++) await begun.WaitAsync();
            Say("running");
            foreach (var call in calls) report(call.Key, await call.Value);
        }

        // Makes the tick that failed again until it is answered.
        async Task<string> Back()
        {
            var said = new SortedSet<string>();
            string tick = null;
            while (true)
            {
                string failure = await AvatarCalls.Failure(async () => tick = await Tick(false));
                if (tick != null) break;
                said.Add(failure.StartsWith("Unavailable|") ? "Unavailable" : failure);
                await Task.Delay(Pause);
            }
            report("while it starts", string.Join(" ", said));
            return tick;
        }

        async Task Again()
        {
            report("actions after it", (await npcs.ChooseAsync(new[] { Guard() }, "", 0, 0, 0f, Within()))[0][0].Status.ToString());
            report("avatars after it", (await avatars.GenerateAsync(new[] { 1UL }, Face(), Within())).Length.ToString());
            int count = 0;
            await avatars.StreamAsync(new[] { 1UL, 2UL }, Face(), image => count++, Within());
            report("a stream of avatars after it", count.ToString());
            report("a morph after it", (await Morph(0.1f, false)).ToString());
            report("tiles after it", (await World(1, 2)).ToString());
            using (var source = new CancellationTokenSource())
            {
                var held = npcs.HoldSessionAsync(Session, source.Cancel, new CallOptions(Deadline, source.Token));
                report("a held session after it", (await AvatarCalls.Failure(() => held)).Split('|')[0]);
            }
        }

        // "scout" remembers: its turn halves from tick to tick where it sees nothing, 18, 9, 4.5, and is 2 where that is new to it.
        async Task<string> Tick(bool isEpisodeStart)
        {
            var actions = (await npcs.ChooseAsync(new[] { Scout(isEpisodeStart) }, Session, 0, 0, 0f, Within()))[0];
            string turn = actions[0].Continuous("turn", 0).ToString(CultureInfo.InvariantCulture);
            return (actions.SessionRestarted ? "restarted " : "") + actions[0].Status + " " + turn;
        }

        async Task<int> Morph(float secondsPerKey, bool isRealTime)
        {
            var settings = new AvatarSettings { Model = "portrait" };
            var morph = new MorphSettings { SecondsPerKey = secondsPerKey, FrameRate = 30f, IsRealTime = isRealTime };
            int count = 0;
            await avatars.MorphAsync(new[] { 1UL, 2UL }, settings, morph, frame =>
            {
                if (count++ == 0) begun.Release();
                return Task.CompletedTask;
            }, Within());
            return count;
        }

        // Goes from world to world, so that there are tiles on their way whenever the sidecar is killed.
        async Task Worlds()
        {
            for (ulong seed = 1; ; seed++) await World(seed, 16);
        }

        async Task<int> World(ulong seed, int side)
        {
            var places = new List<TilePlace>();
            for (int i = 0; i < side * side; i++) places.Add(new TilePlace(i % side, i / side));
            int count = 0;
            await scenes.StreamAsync(seed, places, new SceneSettings { Model = "island" }, tile =>
            {
                if (count++ == 0 && seed == 1) begun.Release();
                return Task.CompletedTask;
            }, Within());
            return count;
        }

        static NpcGroup Scout(bool isEpisodeStart)
        {
            var group = new NpcGroup("scout");
            var pixels = new byte[12];
            for (int i = 0; i < pixels.Length && isEpisodeStart; i++) pixels[i] = 16;
            group.ObservePicture("picture", pixels, 2, 2, 3);
            group.ObserveCategory("door", 0);
            group.AddAgent(1, isEpisodeStart);
            return group;
        }

        static NpcGroup Guard()
        {
            var group = new NpcGroup("guard");
            group.Observe("position", 1f, 2f, 3f);
            group.Allow(true, true, true, true, true);
            group.AddAgent(1, true);
            return group;
        }

        static AvatarSettings Face()
        {
            return new AvatarSettings { Model = "face" };
        }

        static CallOptions Within()
        {
            return new CallOptions(Deadline);
        }

        void Say(string what)
        {
            File.WriteAllText(Path.Combine(folder, what), "");
        }
    }
}
