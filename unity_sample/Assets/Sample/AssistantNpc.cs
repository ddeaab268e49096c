using System;
using System.Collections.Generic;
using Metabridge.V1;
using UnityEngine;

namespace Metabridge.Sample
{
    /// <summary>
    /// The virtual assistant: it sees, hears, feels and remembers through the sensors beside it, hears what its user asks for, and
    /// moves and acts as the policy chooses. Its plaza moves it.
    /// </summary>
    public sealed class AssistantNpc : NpcAgent
    {
        /// <summary>The own state's elements before the map.</summary>
        static readonly string[] Own = OwnElements();

        /// <summary>The plaza that it walks in, and its number there; set before the first tick.</summary>
        public AssistantPlaza Plaza { get; set; }

        public int Index { get; set; }

        public RaySensor Eyes { get; private set; }

        public SoundSensor Ears { get; private set; }

        public InstructionSensor Instruction { get; private set; }

        public TouchSensor Skin { get; private set; }

        public MapSensor Map { get; private set; }

        /// <summary>The bins chosen last: speed, turn rate, act.</summary>
        public int[] Bins { get; } = { 1, 3, 0 };

        /// <summary>Where the last action came from.</summary>
        public Source Source { get; private set; }

        AssistantState State => Plaza.World.Agents[Index];

        void Awake()
        {
            Eyes = gameObject.AddComponent<RaySensor>();
            Eyes.Degrees = AssistantSpec.RayDegrees;
            Eyes.Kinds = AssistantSpec.Sights;
            Eyes.Range = (float)AssistantSpec.RayRange;
            Eyes.BodyRadius = (float)AssistantSpec.AgentRadius;
            Ears = gameObject.AddComponent<SoundSensor>();
            Ears.Bands = AssistantSpec.Bands;
            Ears.Hearing = (float)AssistantSpec.Hearing;
            Instruction = gameObject.AddComponent<InstructionSensor>();
            Skin = gameObject.AddComponent<TouchSensor>();
            Skin.Sectors = AssistantSpec.TouchSectors;
            Skin.FullDepth = (float)AssistantSpec.PressureDepth;
            Map = gameObject.AddComponent<MapSensor>();
            Map.Names = AssistantSpec.Kinds;
            Map.Scale = (float)AssistantSpec.MapScale;
        }

        protected override void OnDescribed(PolicyDescription policy)
        {
            policy.Expect("vision", Eyes.Elements);
            policy.Expect("audio", Ears.Elements);
            policy.Expect("language", Instruction.Elements);
            policy.Expect("touch", Joined(Skin.Elements, new[] { "hand" }));
            policy.Expect("own", Joined(Own, Map.Elements));
        }

        protected override void Observe(NpcGroup tick)
        {
            Policy.Write(tick, "vision", ReadVision());
            Policy.Write(tick, "audio", Ears.Read());
            Policy.Write(tick, "language", Instruction.Read());
            Policy.Write(tick, "touch", ReadTouch());
            Policy.Write(tick, "own", ReadOwn());
            tick.Allow(AssistantTasks.ActionMask(Plaza.World, Index));
        }

        protected override void Act(AgentActions actions)
        {
            Source = actions.Source;
            for (int i = 0; i < Bins.Length; i++) Bins[i] = (int)actions.Discrete("action", i);
        }

        /// <summary>Returns what the eyes see, by night no farther than the night lets them.</summary>
        public float[] ReadVision()
        {
            Eyes.Sight = (float)(Plaza.World.Layout.IsNight ? AssistantSpec.NightSight : AssistantSpec.RayRange);
            return Eyes.Read();
        }

        /// <summary>Returns the pressure around the body, and whether something is in the hand.</summary>
        public float[] ReadTouch()
        {
            return Joined(Skin.Read(), new[] { State.Carrying >= 0 ? 1f : 0f });
        }

        /// <summary>Returns its own state and the map.</summary>
        public float[] ReadOwn()
        {
            var own = new float[Own.Length];
            own[0] = Mathf.Clamp((float)(State.Speed / AssistantSpec.OwnScale), -1f, 1f);
            own[1] = Mathf.Clamp((float)(State.TurnRate / AssistantSpec.OwnScale), -1f, 1f);
            own[2] = State.IsEngaged ? 1f : 0f;
            own[3] = Mathf.Min((float)State.Streak / AssistantSpec.StreakTicks, 1f);
            own[4] = Mathf.Max(1f - (float)Plaza.World.Tick / Plaza.World.Config.Ticks, 0f);
            own[5] = Plaza.World.Layout.IsNight ? 0f : 1f;
            if (State.Carrying >= 0) own[6 + State.Carrying] = 1f;
            return Joined(own, Map.Read());
        }

        static string[] OwnElements()
        {
            var elements = new List<string> { "speed", "turn_rate", "engaged", "streak", "time_left", "daylight" };
            foreach (string item in AssistantSpec.Items) elements.Add("carries_" + item);
            return elements.ToArray();
        }

        static T[] Joined<T>(T[] first, T[] second)
        {
            var joined = new T[first.Length + second.Length];
            Array.Copy(first, joined, first.Length);
            Array.Copy(second, 0, joined, first.Length, second.Length);
            return joined;
        }
    }
}
