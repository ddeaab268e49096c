using System;
using System.Collections.Generic;
using System.IO;
using System.Text.Json;
using Metabridge.Sample;

namespace Metabridge.Headless
{
    /// <summary>
    /// Replays a golden trajectory of <c>python -m export npc golden</c> in the sample's world and writes what its agents perceive, may
    /// do and are rewarded with, tick after tick: one file a name, rows in the order of worlds, then agents, little-endian.
    /// </summary>
    sealed class WorldReplay
    {
        static readonly JsonSerializerOptions Fields = new JsonSerializerOptions { IncludeFields = true };

        readonly string folder;
        readonly Dictionary<string, BinaryWriter> files = new Dictionary<string, BinaryWriter>();
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
            foreach (var tick in actions.EnumerateArray())
            {
                int first = 0;
                foreach (var world in worlds)
                {
                    Write(world);
                    Step(world, tick, first);
                    first += world.Agents.Length;
                }
            }
            foreach (var file in files.Values) file.Dispose();
            report("ticks", actions.GetArrayLength().ToString());
            report("episodes", string.Join(" ", Array.ConvertAll(worlds, world => world.Episode + 1)));
        }

        void Write(AssistantWorld world)
        {
            for (int i = 0; i < world.Agents.Length; i++)
            {
                Write("vision", AssistantSenses.Vision(world, i));
                Write("audio", AssistantSenses.Audio(world, i));
                Write("language", AssistantSenses.Language(world, i));
                Write("touch", AssistantSenses.Touch(world, i));
                Write("own", AssistantSenses.Own(world, i));
                foreach (bool isAllowed in AssistantTasks.ActionMask(world, i)) Of("masks").Write(isAllowed);
            }
        }

        void Step(AssistantWorld world, JsonElement tick, int first)
        {
            var bins = new int[3 * world.Agents.Length];
            for (int i = 0; i < bins.Length; i++) bins[i] = tick[first + i / 3][i % 3].GetInt32();
            foreach (double reward in world.Step(bins)) Of("rewards").Write(reward);
            Of("terminated").Write(world.IsTerminated);
            Of("truncated").Write(world.IsTruncated);
            if (world.IsTerminated || world.IsTruncated) world.BeginNext();
        }

        void Write(string name, float[] values)
        {
            foreach (float value in values) Of(name).Write(value);
        }

        BinaryWriter Of(string name)
        {
            if (files.TryGetValue(name, out var file)) return file;
            return files[name] = new BinaryWriter(File.Create(Path.Combine(folder, name + ".bin")));
        }
    }
}
