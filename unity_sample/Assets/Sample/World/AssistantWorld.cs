using System;
using System.Collections.Generic;

namespace Metabridge.Sample
{
    /// <summary>An agent and its user as they stand at a tick.</summary>
    public sealed class AssistantState
    {
        public Xz At;
        public double Heading;
        public double Speed;
        public double TurnRate;

        /// <summary>Where its last move brought it, before it was pushed out of what it touched.</summary>
        public Xz MovedTo;

        public Xz UserAt;

        /// <summary>A guided user follows it.</summary>
        public bool IsEngaged;

        /// <summary>What it carries, an index into <see cref="AssistantSpec.Items"/>; -1 for nothing.</summary>
        public int Carrying = -1;

        /// <summary>Ticks of unbroken service.</summary>
        public int Streak;

        public bool IsDone;

        /// <summary>Ticks in which it touched something.</summary>
        public int Contacts;

        /// <summary>Pressure by sector, counter-clockwise from ahead, from 0 to 1.</summary>
        public readonly double[] Pressure = new double[AssistantSpec.TouchSectors];

        /// <summary>Rewards so far, and an estimate in metres of the way that is left.</summary>
        public double Return, Remaining;
    }

    /// <summary>
    /// The assistant's world of export/npc/world/, one plaza of it: agents, their users, people, places and obstacles. World i of
    /// a seed is Python's, episode after episode; a tick lasts <see cref="AssistantSpec.Dt"/> seconds.
    /// </summary>
    public sealed class AssistantWorld
    {
        const double GuidedPace = 1.4, GuidedNear = 1.2, GuidedFar = 6.0;

        readonly ulong seed;
        readonly ulong number;
        readonly List<Xz> bodies = new List<Xz>();
        readonly List<double> reaches = new List<double>();

        public AssistantConfig Config { get; }

        public AssistantLayout Layout { get; private set; }

        /// <summary>The agents with their users.</summary>
        public AssistantState[] Agents { get; private set; }

        /// <summary>Where people are.</summary>
        public Xz[] People { get; private set; }

        /// <summary>Number of the episode, counted from 0.</summary>
        public int Episode { get; private set; }

        /// <summary>Ticks since the episode began.</summary>
        public int Tick { get; private set; }

        /// <summary>All requests of the episode are fulfilled.</summary>
        public bool IsTerminated => Array.TrueForAll(Agents, agent => agent.IsDone);

        /// <summary>The episode is cut, since its time is over.</summary>
        public bool IsTruncated => !IsTerminated && Tick >= Config.Ticks;

        public AssistantWorld(AssistantConfig config, ulong seed, ulong number)
        {
            Config = config;
            this.seed = seed;
            this.number = number;
            Begin(0);
        }

        /// <summary>Begins the next episode.</summary>
        public void BeginNext()
        {
            Begin(Episode + 1);
        }

        void Begin(int episode)
        {
            Episode = episode;
            Tick = 0;
            Layout = new AssistantLayout(Config, seed, number, (uint)episode);
            People = new Xz[Config.people];
            Agents = new AssistantState[Config.agents];
            for (int i = 0; i < Agents.Length; i++)
            {
                Agents[i] = new AssistantState { At = Layout.Starts[i], MovedTo = Layout.Starts[i], Heading = Layout.StartHeadings[i] };
                Agents[i].UserAt = Layout.Ways[Config.people + i].At(0.0);
            }
            MovePeople();
            for (int i = 0; i < Agents.Length; i++) Agents[i].Remaining = AssistantTasks.Remaining(this, i);
        }

        /// <summary>
        /// Advances one tick under speeds in m/s, turn rates in rad/s and acts, one an agent, and returns the rewards. Commands are
        /// clipped to what an agent can do; ArgumentException for one that is not finite.
        /// </summary>
        public double[] Step(double[] speeds, double[] turns, AssistantAct[] acts)
        {
            for (int i = 0; i < Agents.Length; i++) Check(speeds[i], turns[i]);
            for (int i = 0; i < Agents.Length; i++) Move(Agents[i], speeds[i], turns[i]);
            Tick++;
            MovePeople();
            MoveUsers();
            bool[] contacts = PushAgents();
            var rewards = new double[Agents.Length];
            for (int i = 0; i < Agents.Length; i++)
            {
                if (contacts[i]) Agents[i].Contacts++;
                rewards[i] = AssistantTasks.Judge(this, i, acts[i], contacts[i]);
                Agents[i].Return += rewards[i];
            }
            return rewards;
        }

        /// <summary>Advances one tick under bins of speed and turn rate and acts, three numbers an agent.</summary>
        public double[] Step(int[] bins)
        {
            var speeds = new double[Agents.Length];
            var turns = new double[Agents.Length];
            var acts = new AssistantAct[Agents.Length];
            for (int i = 0; i < Agents.Length; i++)
            {
                speeds[i] = AssistantSpec.SpeedBins[bins[3 * i]] * Config.top_speed;
                turns[i] = AssistantSpec.TurnBins[bins[3 * i + 1]];
                acts[i] = (AssistantAct)bins[3 * i + 2];
            }
            return Step(speeds, turns, acts);
        }

        static void Check(double speed, double turn)
        {
            if (!double.IsNaN(speed + turn) && !double.IsInfinity(speed + turn)) return;
            throw new ArgumentException("a command is " + speed + " m/s and " + turn + " rad/s, expected finite numbers");
        }

        void Move(AssistantState agent, double speed, double turn)
        {
            double[] speeds = AssistantSpec.SpeedBins, turns = AssistantSpec.TurnBins;
            speed = Math.Min(Math.Max(speed, speeds[0] * Config.top_speed), speeds[speeds.Length - 1] * Config.top_speed);
            turn = Math.Min(Math.Max(turn, turns[0]), turns[turns.Length - 1]);
            agent.Speed += AssistantSpec.Response * (speed - agent.Speed);
            agent.TurnRate += AssistantSpec.Response * (turn - agent.TurnRate);
            agent.Heading += AssistantSpec.Dt * agent.TurnRate;
            agent.At += AssistantSpec.Dt * agent.Speed * Xz.Forward(agent.Heading);
            agent.MovedTo = agent.At;
        }

        void MovePeople()
        {
            for (int i = 0; i < People.Length; i++) People[i] = Layout.Ways[i].At(AssistantSpec.Dt * Tick);
        }

        void MoveUsers()
        {
            for (int i = 0; i < Agents.Length; i++)
            {
                var task = Layout.Tasks[i];
                bool strolls = task == AssistantTask.Follow || task == AssistantTask.Keep;
                if (strolls) Agents[i].UserAt = Layout.Ways[Config.people + i].At(AssistantSpec.Dt * Tick);
                else if (Agents[i].IsEngaged) Lead(Agents[i]);
            }
        }

        // A guided user walks towards its agent and slides along what stands in the way.
        void Lead(AssistantState agent)
        {
            var offset = agent.At - agent.UserAt;
            double gap = offset.Length;
            if (gap <= GuidedNear || gap >= GuidedFar) return;
            agent.UserAt += AssistantSpec.Dt * GuidedPace / Math.Max(gap, 1e-9) * offset;
            CollectSolids(AssistantSpec.UserRadius);
            agent.UserAt += Push(agent.UserAt, -1);
            agent.UserAt = agent.UserAt.Within(AssistantSpec.HalfSize - AssistantSpec.UserRadius);
        }

        bool[] PushAgents()
        {
            var pushes = new Xz[Agents.Length];
            var contacts = new bool[Agents.Length];
            CollectBodies();
            int own = People.Length + Agents.Length;
            for (int i = 0; i < Agents.Length; i++) pushes[i] = Push(Agents[i].At, own + i);
            CollectSolids(AssistantSpec.AgentRadius);
            for (int i = 0; i < Agents.Length; i++)
            {
                var agent = Agents[i];
                Array.Clear(agent.Pressure, 0, agent.Pressure.Length);
                contacts[i] = Feel(agent, pushes[i]);
                contacts[i] |= Feel(agent, Push(agent.At, -1));
                contacts[i] |= Feel(agent, agent.At.Within(AssistantSpec.HalfSize - AssistantSpec.AgentRadius) - agent.At);
            }
            return contacts;
        }

        void CollectBodies()
        {
            bodies.Clear();
            reaches.Clear();
            foreach (var person in People) Collect(person, AssistantSpec.AgentRadius + AssistantSpec.UserRadius);
            foreach (var agent in Agents) Collect(agent.UserAt, AssistantSpec.AgentRadius + AssistantSpec.UserRadius);
            foreach (var agent in Agents) Collect(agent.At, 2.0 * AssistantSpec.AgentRadius);
        }

        void CollectSolids(double radius)
        {
            bodies.Clear();
            reaches.Clear();
            for (int i = 0; i < Layout.Solids.Count; i++) Collect(Layout.Solids[i], Layout.SolidRadii[i] + radius);
        }

        void Collect(Xz centre, double reach)
        {
            bodies.Add(centre);
            reaches.Add(reach);
        }

        // The way straight out of the collected circle that a place is deepest in; nothing where it is in none.
        Xz Push(Xz at, int own)
        {
            double deepest = 0.0;
            var push = new Xz(0.0, 0.0);
            for (int i = 0; i < bodies.Count; i++)
            {
                var offset = at - bodies[i];
                double distance = offset.Length, depth = reaches[i] - distance;
                if (i == own || depth <= deepest) continue;
                deepest = depth;
                push = distance < 1e-9 ? new Xz(0.0, depth) : depth / distance * offset;
            }
            return push;
        }

        static bool Feel(AssistantState agent, Xz push)
        {
            double depth = push.Length;
            if (depth <= 0.0) return false;
            agent.At += push;
            var towards = new Xz(-push.X, -push.Z);
            double bearing = Math.Atan2(towards.Left(agent.Heading), towards.Ahead(agent.Heading));
            int sectors = AssistantSpec.TouchSectors;
            int sector = ((int)Math.Round(bearing * sectors / (2.0 * Math.PI)) + sectors) % sectors;
            agent.Pressure[sector] = Math.Min(1.0, agent.Pressure[sector] + depth / AssistantSpec.PressureDepth);
            return true;
        }
    }
}
