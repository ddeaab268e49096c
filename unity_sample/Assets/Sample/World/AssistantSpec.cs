using System;

namespace Metabridge.Sample
{
    /// <summary>
    /// What the assistant's world is made of, as export/npc/world/spec.py has it: metres, seconds, radians. A policy of this world
    /// knows its vocabulary, bins and senses by these numbers.
    /// </summary>
    public static class AssistantSpec
    {
        public const double Dt = 0.1;
        public const double Response = 0.5;
        public const int StreakTicks = 40;
        public const double HalfSize = 10.0;
        public const double AgentRadius = 0.4;
        public const double UserRadius = 0.3;
        public const double PlaceRadius = 0.4;

        /// <summary>Where people stand who have no way, and obstacles that found no place: out of the world.</summary>
        public const double Absent = 1000.0;

        public const int LandmarkCount = 4;
        public const double RayRange = 8.0;
        public const double NightSight = 4.0;
        public const int TouchSectors = 8;

        /// <summary>Overlap in metres that is felt as full pressure.</summary>
        public const double PressureDepth = 0.1;

        /// <summary>Distance in metres at which a sound has half its level.</summary>
        public const double Hearing = 4.0;

        /// <summary>Radians by which echoes bend a far call by day, and the share of that by night.</summary>
        public const double Bend = 0.35, NightBend = 0.4;

        /// <summary>Metres that the map of the own state counts as 1.</summary>
        public const double MapScale = 20.0;

        /// <summary>Speed in m/s and turn rate in rad/s that the own state counts as 1.</summary>
        public const double OwnScale = 2.0;

        public static readonly string[] Tasks = { "guide", "bring", "follow", "keep", "wait" };
        public static readonly string[] Items = { "flower", "book", "drink", "lamp", "apple", "map" };

        /// <summary>Landmarks, then the stands of items.</summary>
        public static readonly string[] Kinds =
        {
            "fountain", "stage", "gate", "tree", "flower", "book", "drink", "lamp", "apple", "map",
        };

        public static readonly string[] Acts = { "none", "speak", "point", "pick", "give" };

        /// <summary>Shares of the top speed.</summary>
        public static readonly double[] SpeedBins = { -0.35, 0.0, 0.35, 0.7, 1.0 };

        /// <summary>Turn rates in rad/s, positive to the left.</summary>
        public static readonly double[] TurnBins = { -2.0, -0.9, -0.3, 0.0, 0.3, 0.9, 2.0 };

        public static readonly int MaskSize = SpeedBins.Length + TurnBins.Length + Acts.Length;

        /// <summary>Degrees to the left of the heading, from right to left.</summary>
        public static readonly float[] RayDegrees = Degrees();

        public static readonly string[] Sights = { "solid", "place", "person", "user" };
        public static readonly string[] Bands = { "user", "voices", "water", "ambience" };

        /// <summary>Gains of the bands' sources by day and by night.</summary>
        public static readonly double[] DayGains = { 1.0, 0.8, 0.7, 0.6 }, NightGains = { 1.0, 0.2, 0.7, 0.4 };

        static float[] Degrees()
        {
            var degrees = new float[21];
            for (int i = 0; i < degrees.Length; i++) degrees[i] = -120f + 12f * i;
            return degrees;
        }
    }

    /// <summary>What users ask for; the numbers are indices into <see cref="AssistantSpec.Tasks"/>.</summary>
    public enum AssistantTask
    {
        Guide,
        Bring,
        Follow,
        Keep,
        Wait,
    }

    /// <summary>What agents do besides moving; the numbers are indices into <see cref="AssistantSpec.Acts"/>.</summary>
    public enum AssistantAct
    {
        None,
        Speak,
        Point,
        Pick,
        Give,
    }

    /// <summary>A plaza's options, by the names that the Python world gives them in JSON.</summary>
    [Serializable]
    public sealed class AssistantConfig
    {
        /// <summary>Agents of a world, each with a user of its own.</summary>
        public int agents = 1;

        /// <summary>People who stroll through and push agents out of their way.</summary>
        public int people = 4;

        /// <summary>Most obstacles; fewer where they would stand in a way.</summary>
        public int obstacles = 6;

        /// <summary>What users ask for, out of <see cref="AssistantSpec.Tasks"/>.</summary>
        public string[] tasks = { "guide", "bring", "follow", "keep", "wait" };

        /// <summary>The items on offer, each at a stand of its own, out of <see cref="AssistantSpec.Items"/>.</summary>
        public string[] items = { "flower", "book", "drink" };

        /// <summary>Fastest speed of an agent in m/s.</summary>
        public double top_speed = 1.8;

        /// <summary>Fastest pace of a strolling user in m/s.</summary>
        public double user_speed = 0.9;

        /// <summary>Longest episode in seconds.</summary>
        public double seconds = 30.0;

        /// <summary>Ticks of the longest episode.</summary>
        public int Ticks => (int)Math.Round(seconds / AssistantSpec.Dt);

        public int PlaceCount => AssistantSpec.LandmarkCount + items.Length;

        /// <summary>The kind of a place, an index into <see cref="AssistantSpec.Kinds"/>.</summary>
        public int KindOf(int place)
        {
            int stand = place - AssistantSpec.LandmarkCount;
            return stand < 0 ? place : AssistantSpec.LandmarkCount + IndexOf(AssistantSpec.Items, items[stand], "item");
        }

        /// <summary>The item that a place offers, an index into <see cref="AssistantSpec.Items"/>; -1 for a landmark.</summary>
        public int ItemOf(int place)
        {
            return Math.Max(KindOf(place) - AssistantSpec.LandmarkCount, -1);
        }

        /// <summary>The task of one of <see cref="tasks"/>.</summary>
        public AssistantTask TaskOf(int index)
        {
            return (AssistantTask)IndexOf(AssistantSpec.Tasks, tasks[index], "task");
        }

        static int IndexOf(string[] known, string name, string what)
        {
            int index = Array.IndexOf(known, name);
            if (index >= 0) return index;
            throw new ArgumentException("no " + what + " \"" + name + "\", there are " + string.Join(", ", known));
        }
    }
}
