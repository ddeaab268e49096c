using System;
using System.Collections.Generic;
using System.IO;
using Metabridge.Sample;
using UnityEngine;

namespace Metabridge.Headless
{
    /// <summary>What to play, read from the file after -scenario.</summary>
    [Serializable]
    public sealed class Scenario
    {
        public string web;
        public string avatar_model;
        public string npc_model;
        public long[] seeds;
        public float truncation;
        public AssistantConfig world = new AssistantConfig();
        public int plazas;
        public long seed;
        public int[] actions;
        public int ticks;
        public float tick_seconds;
        public int frame_rate;
        public int stream_size;
        public bool sample;
        public string picture;
        public bool cancelled;
        public bool killed;
        public bool scenes;
        public bool npcs;
        public string trainer;
        public int environment_rows;
        public float timeout_seconds;
        public string output;

        public static Scenario Load()
        {
            return JsonUtility.FromJson<Scenario>(File.ReadAllText(Argument("-scenario")));
        }

        public static string Argument(string name)
        {
            var arguments = Environment.GetCommandLineArgs();
            int index = Array.IndexOf(arguments, name);
            if (index < 0 || index + 1 >= arguments.Length) throw new ArgumentException("argument " + name + " is missing");
            return arguments[index + 1];
        }
    }

    [Serializable]
    public sealed class AvatarResult
    {
        public long seed;
        public int width;
        public int height;
        public string format;
        public double ms;
        public int frames;
    }

    [Serializable]
    public sealed class NpcResult
    {
        public double world_x;
        public double world_z;
        public int episode;
        public int tick;
        public string source;
        public string failure;
    }

    /// <summary>An assistant's episode that is over.</summary>
    [Serializable]
    public sealed class EpisodeResult
    {
        public int plaza;
        public int episode;
        public string task;
        public bool done;
        public int ticks;
        public double total;
        public int contacts;
    }

    /// <summary>What happened, written to the file after -result when all is over.</summary>
    [Serializable]
    public sealed class Result
    {
        public bool ok;
        public string error = "";
        public string unity_version;
        public string platform;
        public int ticks;
        public string ended_session = "";
        public List<AvatarResult> avatars = new List<AvatarResult>();
        public List<NpcResult> npcs = new List<NpcResult>();
        public List<EpisodeResult> episodes = new List<EpisodeResult>();
        public List<double> tick_ms = new List<double>();
        public List<int> tick_frames = new List<int>();
        public int sample_avatars;
        public int sample_ticks;
        public int sample_morph;
        public List<string> sample_objects = new List<string>();
        public List<string> calls = new List<string>();
        public List<string> events = new List<string>();
    }
}
