using System;
using UnityEngine;

namespace Metabridge.Sample
{
    /// <summary>
    /// A plaza of the assistant's world as a scene: places, obstacles, walls, people, users and assistants with colliders and sounds,
    /// where the world says. Unity is left-handed, so glTF's +X is -X here.
    /// </summary>
    public sealed class AssistantPlaza : MonoBehaviour
    {
        /// <summary>Layers of what assistants are pushed out of, in this order; out of the walls of a corner at once.</summary>
        const int Walkers = 8, Standing = 9;

        const float Centre = 1f, Wall = 0.5f;

        Transform standing;
        Transform[] people = new Transform[0];
        SoundSource[] voices = new SoundSource[0];
        Transform[] users;
        SoundSource[] calls;

        /// <summary>An episode is over, and the world is about to begin the next one.</summary>
        public event Action<AssistantWorld> Ended;

        public AssistantWorld World { get; private set; }

        /// <summary>Its assistants, in the order of the world's agents.</summary>
        public AssistantNpc[] Npcs { get; private set; }

        /// <summary>Builds a world; the assistants have no brain yet.</summary>
        public void Build(AssistantWorld world)
        {
            World = world;
            Npcs = new AssistantNpc[world.Agents.Length];
            users = new Transform[Npcs.Length];
            calls = new SoundSource[Npcs.Length];
            people = new Transform[world.People.Length];
            voices = new SoundSource[people.Length];
            BuildWalls();
            for (int i = 0; i < people.Length; i++)
            {
                people[i] = Walker("Person", AssistantSpec.UserRadius, "person");
                voices[i] = Sound(people[i], "voices");
            }
            for (int i = 0; i < Npcs.Length; i++) BuildNpc(i);
            Furnish();
            Show();
        }

        /// <summary>
        /// Advances one tick under the bins that the assistants chose, and begins the next episode when this one is over. The assistants
        /// feel what Physics pushes them out of; the world keeps where they are.
        /// </summary>
        public void Step()
        {
            var bins = new int[3 * Npcs.Length];
            for (int i = 0; i < Npcs.Length; i++) Array.Copy(Npcs[i].Bins, 0, bins, 3 * i, 3);
            World.Step(bins);
            Touch();
            if (World.IsTerminated || World.IsTruncated) BeginNext();
            Show();
        }

        void BeginNext()
        {
            Ended?.Invoke(World);
            World.BeginNext();
            Furnish();
            foreach (var npc in Npcs)
            {
                npc.Skin.Clear();
                npc.StartEpisode();
            }
        }

        // The assistants stand where they moved to: out of what walks, then out of what stands, then out of the walls.
        void Touch()
        {
            for (int i = 0; i < people.Length; i++) Put(people[i], World.People[i], 0.0);
            for (int i = 0; i < Npcs.Length; i++)
            {
                Put(users[i], World.Agents[i].UserAt, 0.0);
                Put(Npcs[i].transform, World.Agents[i].MovedTo, World.Agents[i].Heading);
                Npcs[i].Skin.Clear();
            }
            Physics.SyncTransforms();
            var pushes = Array.ConvertAll(Npcs, npc => npc.Skin.Push(1 << Walkers));
            for (int i = 0; i < Npcs.Length; i++) Feel(Npcs[i], pushes[i]);
            Physics.SyncTransforms();
            foreach (var npc in Npcs)
            {
                Feel(npc, npc.Skin.Push(1 << Standing));
                float limit = (float)(AssistantSpec.HalfSize - AssistantSpec.AgentRadius);
                var at = npc.transform.localPosition;
                var inside = new Vector3(Mathf.Clamp(at.x, -limit, limit), at.y, Mathf.Clamp(at.z, -limit, limit));
                npc.Skin.Feel(transform.TransformVector(inside - at));
            }
        }

        static void Feel(AssistantNpc npc, Vector3 push)
        {
            npc.transform.position += push;
            npc.Skin.Feel(push);
        }

        /// <summary>Puts everything where the world says, sounds and requests included.</summary>
        public void Show()
        {
            for (int i = 0; i < people.Length; i++) Put(people[i], World.People[i], 0.0);
            foreach (var voice in voices) voice.Gain = Gain(1);
            for (int i = 0; i < Npcs.Length; i++)
            {
                var agent = World.Agents[i];
                Put(users[i], agent.UserAt, 0.0);
                Put(Npcs[i].transform, agent.At, agent.Heading);
                calls[i].Gain = agent.IsDone ? 0f : Gain(0);
                calls[i].Bend = (float)AssistantSenses.Bend(World);
                Npcs[i].Instruction.Instruction = agent.IsDone ? "" : AssistantSentence.All[World.Layout.Sentences[i]].Text;
            }
            Physics.SyncTransforms();
        }

        float Gain(int band)
        {
            return (float)(World.Layout.IsNight ? AssistantSpec.NightGains : AssistantSpec.DayGains)[band];
        }

        void BuildWalls()
        {
            float half = (float)AssistantSpec.HalfSize, away = half + 0.5f * Wall;
            for (int side = 0; side < 4; side++)
            {
                var wall = Body(PrimitiveType.Cube, "Wall", transform);
                bool isAcross = side % 2 == 0;
                float sign = side < 2 ? 1f : -1f;
                wall.localPosition = new Vector3(isAcross ? 0f : sign * away, Centre, isAcross ? sign * away : 0f);
                wall.localScale = new Vector3(isAcross ? 2f * (half + Wall) : Wall, 2f, isAcross ? Wall : 2f * half);
            }
        }

        void BuildNpc(int index)
        {
            users[index] = Walker("User", AssistantSpec.UserRadius, "person");
            calls[index] = Sound(users[index], "user");
            var body = Walker("NPC", AssistantSpec.AgentRadius, "person");
            var npc = Npcs[index] = body.gameObject.AddComponent<AssistantNpc>();
            npc.Plaza = this;
            npc.Index = index;
            npc.Skin.Body = body.GetComponent<Collider>();
            npc.Eyes.See(users[index].GetComponent<Perceived>(), "user");
        }

        // What stands is another with every episode.
        void Furnish()
        {
            if (standing != null)
            {
                standing.gameObject.SetActive(false);
                Destroy(standing.gameObject);
            }
            standing = new GameObject("Standing").transform;
            standing.SetParent(transform, false);
            foreach (var npc in Npcs) npc.Ears.Sources.Clear();
            for (int i = 0; i < World.Layout.Solids.Count; i++)
            {
                if (World.Layout.SolidRadii[i] > 0.0) Furnish(i);
            }
            var crickets = new GameObject("Crickets").transform;
            crickets.SetParent(standing, false);
            Put(crickets, World.Layout.Crickets, 0.0);
            var hum = World.Layout.IsNight ? Sound(crickets, "ambience") : Sound(standing.Find("stage"), "ambience");
            var water = Sound(standing.Find("fountain"), "water");
            hum.Gain = Gain(3);
            water.Gain = Gain(2);
            for (int i = 0; i < Npcs.Length; i++)
            {
                Npcs[i].Ears.Sources.AddRange(voices);
                Npcs[i].Ears.Sources.AddRange(new[] { calls[i], water, hum });
            }
        }

        void Furnish(int index)
        {
            bool isPlace = index < World.Config.PlaceCount;
            string name = isPlace ? AssistantSpec.Kinds[World.Config.KindOf(index)] : "Obstacle";
            var solid = Body(PrimitiveType.Cylinder, name, standing);
            solid.gameObject.layer = Standing;
            float width = 2f * (float)World.Layout.SolidRadii[index];
            solid.localScale = new Vector3(width, 1f, width);
            Put(solid, World.Layout.Solids[index], 0.0);
            if (!isPlace) return;
            solid.gameObject.AddComponent<Perceived>().Kind = "place";
            foreach (var npc in Npcs) npc.Map.Put(name, solid);
        }

        Transform Walker(string name, double radius, string kind)
        {
            var walker = Body(PrimitiveType.Capsule, name, transform);
            walker.gameObject.layer = Walkers;
            walker.localScale = new Vector3(2f * (float)radius, 1f, 2f * (float)radius);
            walker.gameObject.AddComponent<Perceived>().Kind = kind;
            return walker;
        }

        static SoundSource Sound(Transform place, string band)
        {
            var source = place.gameObject.AddComponent<SoundSource>();
            source.Band = band;
            return source;
        }

        static Transform Body(PrimitiveType type, string name, Transform parent)
        {
            var body = GameObject.CreatePrimitive(type);
            body.name = name;
            body.transform.SetParent(parent, false);
            return body.transform;
        }

        static void Put(Transform what, Xz place, double heading)
        {
            double degrees = -heading * 180.0 / Math.PI % 360.0;
            what.localPosition = new Vector3((float)-place.X, Centre, (float)place.Z);
            what.localRotation = Quaternion.Euler(0f, (float)degrees, 0f);
        }
    }
}
