using System.Collections.Generic;
using Metabridge.Sample;
using UnityEngine;

namespace Metabridge.Headless
{
    /// <summary>A scenario's plazas, one above the other: near the axis a float tells millionths of a metre apart.</summary>
    sealed class Plazas
    {
        const float Pitch = 8f;

        internal List<AssistantPlaza> All { get; } = new List<AssistantPlaza>();

        internal Plazas(Scenario scenario)
        {
            for (int i = 0; i < scenario.plazas; i++)
            {
                var plaza = new GameObject("Plaza " + i).AddComponent<AssistantPlaza>();
                plaza.transform.position = Pitch * i * Vector3.up;
                plaza.Build(new AssistantWorld(scenario.world, (ulong)scenario.seed, (ulong)i));
                All.Add(plaza);
            }
        }

        internal IEnumerable<AssistantNpc> Npcs()
        {
            foreach (var plaza in All)
            {
                foreach (var npc in plaza.Npcs) yield return npc;
            }
        }

        internal void Step()
        {
            foreach (var plaza in All) plaza.Step();
        }
    }
}
