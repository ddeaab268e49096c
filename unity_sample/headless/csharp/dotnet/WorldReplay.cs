using System;
using System.IO;
using System.Text.Json;
using Metabridge.Sample;

namespace Metabridge.Headless
{
    /// <summary>
    /// Replays a golden trajectory of <c>python -m export npc golden</c> in the sample's world and writes what its agents perceive, may
    /// do and are rewarded with, tick after tick: one file a name, rows in the order of worlds, then agents.
    /// </summary>
    sealed class WorldReplay
    {
        static readonly JsonSerializerOptions Fields = new JsonSerializerOptions { IncludeFields = true };

        readonly string folder;
        readonly AssistantWorld[] worlds;
        readonly JsonElement actions;

        internal WorldReplay(string golden, string folder)
        {
            this.folder = folder;
            var document = JsonDocument.Parse(File.ReadAllText(golden)).RootElement;
            var config = document.GetProperty("config").Deserialize<AssistantConfig>(Fields);
            worlds = new AssistantWorld[document.GetProperty("worlds").GetInt32()];
            ulong seed = document.GetProperty("seed").GetUInt64();
            for (int i = 0; i < worlds.Length; i++) worlds[i] = new AssistantWorld(config, seed, (ulong)i);
            actions = document.GetProperty("actions");
        }

        internal void Run(Action<string, string> report)
        {
            using (var files = new ArrayFiles(folder))
            {
                foreach (var tick in actions.EnumerateArray())
                {
                    int first = 0;
                    foreach (var world in worlds)
                    {
                        Write(world, files);
                        Step(world, tick, first, files);
                        first += world.Agents.Length;
                    }
                }
            }
            report("ticks", actions.GetArrayLength().ToString());
            report("episodes", string.Join(" ", Array.ConvertAll(worlds, world => world.Episode + 1)));
        }

        static void Write(AssistantWorld world, ArrayFiles files)
        {
            for (int i = 0; i < world.Agents.Length; i++)
            {
                files.Write("vision", AssistantSenses.Vision(world, i));
                files.Write("audio", AssistantSenses.Audio(world, i));
                files.Write("language", AssistantSenses.Language(world, i));
                files.Write("touch", AssistantSenses.Touch(world, i));
                files.Write("own", AssistantSenses.Own(world, i));
                files.Write("masks", AssistantTasks.ActionMask(world, i));
            }
        }

        static void Step(AssistantWorld world, JsonElement tick, int first, ArrayFiles files)
        {
            var bins = new int[3 * world.Agents.Length];
            for (int i = 0; i < bins.Length; i++) bins[i] = tick[first + i / 3][i % 3].GetInt32();
            files.Write("rewards", world.Step(bins));
            files.Write("terminated", world.IsTerminated);
            files.Write("truncated", world.IsTruncated);
            if (world.IsTerminated || world.IsTruncated) world.BeginNext();
        }
    }
}
