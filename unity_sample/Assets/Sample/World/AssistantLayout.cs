using System;
using System.Collections.Generic;

namespace Metabridge.Sample
{
    /// <summary>An ellipse that somebody strolls on: position(t) = centre + amplitude * sin(frequency * t + phase).</summary>
    public struct AssistantWay
    {
        public Xz Centre;
        public Xz Amplitude;
        public double Frequency;
        public Xz Phase;

        /// <summary>Where they would be after so many seconds.</summary>
        public Xz At(double seconds)
        {
            return Turned(Frequency * seconds);
        }

        internal Xz Turned(double angle)
        {
            return new Xz(
                Centre.X + Amplitude.X * Math.Sin(angle + Phase.X), Centre.Z + Amplitude.Z * Math.Sin(angle + Phase.Z));
        }
    }

    /// <summary>
    /// What a world looks like in one episode, drawn by seed, world and episode exactly as export/npc/world/layout.py draws it:
    /// places, obstacles, the ways of people and users, starts, requests, day or night.
    /// </summary>
    public sealed class AssistantLayout
    {
        const byte Stream = 0x57;
        const int PlaceTries = 10, ObstacleTries = 6, WayTries = 6, StartTries = 10, WaySamples = 16;
        const double Passage = 2.0 * AssistantSpec.AgentRadius + 0.5;
        const double Half = AssistantSpec.HalfSize;

        readonly AssistantConfig config;
        readonly WorldDraws draws;
        readonly List<Xz> solids = new List<Xz>();
        readonly List<double> radii = new List<double>();

        /// <summary>Places in the order of the configuration, then obstacles; one that is absent has radius 0.</summary>
        public IReadOnlyList<Xz> Solids => solids;

        public IReadOnlyList<double> SolidRadii => radii;

        /// <summary>The ways of people, then of users.</summary>
        public AssistantWay[] Ways { get; }

        public Xz[] Starts { get; }

        public double[] StartHeadings { get; }

        public AssistantTask[] Tasks { get; }

        /// <summary>The place that is named, one an agent; -1 for none.</summary>
        public int[] Targets { get; }

        /// <summary>What is said, an index into <see cref="AssistantSentence.All"/>, one an agent.</summary>
        public int[] Sentences { get; }

        public bool IsNight { get; }

        /// <summary>Where the sound of the night comes from.</summary>
        public Xz Crickets { get; }

        /// <summary>Phase of the echo that bends calls.</summary>
        public double BendPhase { get; }

        public AssistantLayout(AssistantConfig config, ulong seed, ulong world, uint episode)
        {
            this.config = config;
            draws = new WorldDraws(seed, world, episode, Stream);
            DrawPlacesAndObstacles();
            Ways = DrawWays();
            Starts = DrawStarts();
            StartHeadings = Array.ConvertAll(draws.Take(config.agents), share => 2.0 * Math.PI * share);
            Tasks = new AssistantTask[config.agents];
            Targets = new int[config.agents];
            Sentences = new int[config.agents];
            DrawRequests();
            IsNight = draws.Take() < 0.5;
            Crickets = DrawPlace(Half);
            BendPhase = 2.0 * Math.PI * draws.Take();
        }

        Xz DrawPlace(double limit)
        {
            double x = draws.Take();
            return new Xz((2.0 * x - 1.0) * limit, (2.0 * draws.Take() - 1.0) * limit);
        }

        void DrawPlacesAndObstacles()
        {
            for (int i = 0; i < config.PlaceCount; i++)
            {
                var tries = new Xz[PlaceTries];
                for (int j = 0; j < PlaceTries; j++) tries[j] = DrawPlace(Half - 1.5);
                double[] room = Array.ConvertAll(tries, spot => Gap(spot, solids, radii));
                AddSolid(tries[FirstClear(room, 2.6)], AssistantSpec.PlaceRadius);
            }
            for (int i = 0; i < config.obstacles; i++) DrawObstacle();
        }

        void DrawObstacle()
        {
            var absent = new Xz(AssistantSpec.Absent, AssistantSpec.Absent);
            var found = absent;
            double radius = 0.0;
            for (int j = 0; j < ObstacleTries; j++)
            {
                double x = draws.Take(), z = draws.Take(), size = 0.5 + 0.7 * draws.Take();
                double limit = Half - Passage - size;
                var spot = new Xz((2.0 * x - 1.0) * limit, (2.0 * z - 1.0) * limit);
                if (radius > 0.0 || Gap(spot, solids, radii) < size + Passage) continue;
                found = spot;
                radius = size;
            }
            AddSolid(found, radius);
        }

        void AddSolid(Xz place, double radius)
        {
            solids.Add(place);
            radii.Add(radius);
        }

        // A way shrinks from try to try until one is clear of all that stands.
        AssistantWay[] DrawWays()
        {
            var ways = new AssistantWay[config.people + config.agents];
            for (int i = 0; i < ways.Length; i++)
            {
                var tries = new AssistantWay[WayTries];
                double pace = i < config.people ? 1.2 : config.user_speed;
                for (int j = 0; j < WayTries; j++) tries[j] = DrawWay(Math.Pow(0.6, j), pace);
                double[] room = Array.ConvertAll(tries, Room);
                int best = FirstClear(room, AssistantSpec.UserRadius + 0.45);
                ways[i] = tries[best];
                bool isBlocked = i < config.people && room[best] < AssistantSpec.UserRadius + 0.05;
                if (isBlocked) ways[i].Centre = new Xz(AssistantSpec.Absent, AssistantSpec.Absent);
            }
            return ways;
        }

        AssistantWay DrawWay(double shrink, double pace)
        {
            double[] u = draws.Take(7);
            var amplitude = new Xz((0.8 + 4.2 * u[0]) * shrink, (0.8 + 4.2 * u[1]) * shrink);
            return new AssistantWay
            {
                Amplitude = amplitude,
                Centre = new Xz(
                    (2.0 * u[2] - 1.0) * (Half - 1.0 - amplitude.X), (2.0 * u[3] - 1.0) * (Half - 1.0 - amplitude.Z)),
                Phase = new Xz(2.0 * Math.PI * u[4], 2.0 * Math.PI * u[5]),
                Frequency = pace * (0.4 + 0.6 * u[6]) / amplitude.Length,
            };
        }

        double Room(AssistantWay way)
        {
            double room = double.PositiveInfinity;
            for (int i = 0; i < WaySamples; i++)
            {
                room = Math.Min(room, Gap(way.Turned(2.0 * Math.PI * i / WaySamples), solids, radii));
            }
            return room;
        }

        // Clear of solids and people, 2.5 m from the own user and 1.5 m from earlier agents.
        Xz[] DrawStarts()
        {
            var starts = new Xz[config.agents];
            var walkers = Array.ConvertAll(Ways, way => way.At(-AssistantSpec.Dt));
            for (int i = 0; i < starts.Length; i++)
            {
                var tries = new Xz[StartTries];
                for (int j = 0; j < StartTries; j++) tries[j] = DrawPlace(Half - 1.0);
                var user = walkers[config.people + i];
                int earlier = i;
                double[] room = Array.ConvertAll(tries, spot =>
                {
                    double free = Gap(spot, solids, radii) - AssistantSpec.AgentRadius - 0.3;
                    foreach (var walker in walkers) free = Math.Min(free, (spot - walker).Length - 1.0);
                    free = Math.Min(free, (spot - user).Length - 2.5);
                    for (int k = 0; k < earlier; k++) free = Math.Min(free, (spot - starts[k]).Length - 1.5);
                    return free;
                });
                starts[i] = tries[FirstClear(room, 0.0)];
            }
            return starts;
        }

        void DrawRequests()
        {
            double[] asked = draws.Take(config.agents), named = draws.Take(config.agents), phrase = draws.Take(config.agents);
            for (int i = 0; i < config.agents; i++)
            {
                var task = config.TaskOf((int)(asked[i] * config.tasks.Length));
                int target = -1;
                if (task == AssistantTask.Guide || task == AssistantTask.Wait) target = (int)(named[i] * AssistantSpec.LandmarkCount);
                if (task == AssistantTask.Bring) target = AssistantSpec.LandmarkCount + (int)(named[i] * config.items.Length);
                Tasks[i] = task;
                Targets[i] = target;
                int kind = target < 0 ? -1 : config.KindOf(target);
                Sentences[i] = AssistantSentence.IndexOf(task, kind, (int)(phrase[i] * AssistantSentence.Phrases));
            }
        }

        // The first try with enough room, or the one with most.
        static int FirstClear(double[] room, double wanted)
        {
            int most = 0;
            for (int i = 0; i < room.Length; i++)
            {
                if (room[i] >= wanted) return i;
                if (room[i] > room[most]) most = i;
            }
            return most;
        }

        static double Gap(Xz spot, List<Xz> centres, List<double> radii)
        {
            double gap = double.PositiveInfinity;
            for (int i = 0; i < centres.Count; i++) gap = Math.Min(gap, (spot - centres[i]).Length - radii[i]);
            return gap;
        }
    }
}
