using System;
using System.Collections;
using Metabridge.Sample;
using UnityEngine;

namespace Metabridge.Headless
{
    /// <summary>
    /// Plays given bins in plazas and writes what the assistants' sensors read through Physics, tick after tick: one file a sense, rows
    /// in the order of plazas, then assistants.
    /// </summary>
    sealed class SensePlay
    {
        readonly Scenario scenario;
        readonly Plazas plazas;
        readonly ArrayFiles files;

        internal SensePlay(Scenario scenario)
        {
            this.scenario = scenario;
            plazas = new Plazas(scenario);
            files = new ArrayFiles(scenario.output);
        }

        internal IEnumerator Run()
        {
            yield return null;
            using (files)
            {
                for (int next = 0; next < scenario.actions.Length;)
                {
                    foreach (var npc in plazas.Npcs()) Write(npc);
                    foreach (var npc in plazas.Npcs())
                    {
                        Array.Copy(scenario.actions, next, npc.Bins, 0, npc.Bins.Length);
                        next += npc.Bins.Length;
                    }
                    plazas.Step();
                    yield return null;
                }
            }
        }

        void Write(AssistantNpc npc)
        {
            files.Write("vision", npc.ReadVision());
            files.Write("audio", npc.Ears.Read());
            files.Write("language", npc.Instruction.Read());
            files.Write("touch", npc.ReadTouch());
            files.Write("own", npc.ReadOwn());
        }
    }
}
