using System;
using System.Collections;
using System.Collections.Generic;
using System.Globalization;
using UnityEngine;

namespace Metabridge.Headless
{
    /// <summary>Plays one brain with agents of two policies, some of which fail: what each is told, and that the others go on.</summary>
    sealed class NpcPlay
    {
        const int Ticks = 6;

        readonly Scenario scenario;
        readonly Action<string, string> report;

        internal NpcPlay(Scenario scenario, Action<string, string> report)
        {
            this.scenario = scenario;
            this.report = report;
        }

        internal IEnumerator Run()
        {
            var brain = new GameObject("Brain").AddComponent<NpcBrain>();
            brain.Address = scenario.web;
            brain.Model = "scout";
            brain.TickSeconds = 0f;
            var failed = new List<string>();
            brain.AgentFailed += agent => failed.Add(agent.name + ": " + agent.Failure);
            var agents = new List<TestAgent>
            {
                Agent<Scout>("steady", brain), Agent<Scout>("restarts in flight", brain), Agent<Scout>("throws", brain),
                Agent<Guard>("sees NaN", brain), Agent<Guard>("may do nothing", brain), Agent<Guard>("confused", brain),
            };
            while (brain.Tick < Ticks) yield return null;
            brain.enabled = false;
            foreach (var agent in agents) report(agent.name, string.Join(" ", agent.Told));
            report("failed", string.Join("; ", failed));
            report("policies", brain.Policy("scout") == null ? "forgotten" : "kept");
            UnityEngine.Object.Destroy(brain.gameObject);
            foreach (var agent in agents) UnityEngine.Object.Destroy(agent.gameObject);
        }

        static T Agent<T>(string name, NpcBrain brain) where T : TestAgent
        {
            var agent = new GameObject(name).AddComponent<T>();
            if (agent is Guard) agent.Model = "guard";
            agent.Brain = brain;
            return agent;
        }
    }

    /// <summary>An agent that notes what it is told, and counts its ticks.</summary>
    abstract class TestAgent : NpcAgent
    {
        internal List<string> Told { get; } = new List<string>();

        protected int Seen { get; set; }

        protected static string Number(float value)
        {
            return value.ToString(CultureInfo.InvariantCulture);
        }
    }

    /// <summary>Sees 16 at first and nothing later, so that its turn halves from tick to tick: 18, 9, 4.5, ...; a start gives 2.</summary>
    sealed class Scout : TestAgent
    {
        bool isInFlight;

        protected override void Observe(NpcGroup tick)
        {
            int seen = Seen++;
            if (name == "throws" && seen >= 2 && seen <= 4) throw new InvalidOperationException("no eyes");
            var pixels = new byte[12];
            for (int i = 0; i < pixels.Length && seen == 0; i++) pixels[i] = 16;
            tick.ObservePicture("picture", pixels, 2, 2, 3);
            tick.ObserveCategory("door", 0);
            isInFlight = seen == 2;
        }

        // Observed in this frame's Update: the answer comes in a later one.
        void LateUpdate()
        {
            if (isInFlight && name == "restarts in flight") StartEpisode();
            isInFlight = false;
        }

        protected override void Act(AgentActions actions)
        {
            Told.Add(Number(actions.Continuous("turn", 0)));
        }
    }

    /// <summary>Stands at one place; every second tick it does what its name says.</summary>
    sealed class Guard : TestAgent
    {
        protected override void OnDescribed(PolicyDescription policy)
        {
            policy.Expect("position", name == "confused" ? new[] { "x", "z", "y" } : new[] { "x", "y", "z" });
        }

        protected override void Observe(NpcGroup tick)
        {
            bool isBad = Seen++ % 2 == 1;
            tick.Observe("position", 1f, isBad && name == "sees NaN" ? float.NaN : 2f, 3f);
            bool isFree = !isBad || name != "may do nothing";
            tick.Allow(isFree, isFree, isFree, true, true);
        }

        protected override void Act(AgentActions actions)
        {
            Told.Add(actions.Status + "," + actions.Source + "," + (Failure == null ? "well" : "told"));
        }
    }
}
