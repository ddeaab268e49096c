using System.Collections.Generic;
using UnityEngine;

namespace Metabridge.Sample
{
    /// <summary>
    /// Builds the sample at play: a wall of avatars, above it one that turns into others and, in front, plazas in which assistants do
    /// what their users ask for. It needs a sidecar that serves the models named here.
    /// </summary>
    public sealed class PlazaScene : MonoBehaviour
    {
        const float Pitch = 22f;

        [SerializeField] string address = "http://127.0.0.1:50052";
        [SerializeField] string avatarModel = "pixel";
        [SerializeField] string npcModel = "assistant";
        [SerializeField] int columns = 8;
        [SerializeField] int rows = 2;
        [SerializeField] int plazaCount = 4;
        [SerializeField] int seed = 7;

        readonly List<Material> materials = new List<Material>();

        /// <summary>Address of the sidecar's web port; set before Start.</summary>
        public string Address { get => address; set => address = value; }

        /// <summary>Number of plazas, an assistant in each; set before Start.</summary>
        public int PlazaCount { get => plazaCount; set => plazaCount = value; }

        void Start()
        {
            for (int i = 0; i < columns * rows; i++) HangAvatar(i);
            HangMorph();
            var brain = CreateBrain();
            for (int i = 0; i < plazaCount; i++) Populate(i, brain);
        }

        void OnDestroy()
        {
            foreach (var material in materials) Destroy(material);
        }

        void HangAvatar(int index)
        {
            var quad = Create(PrimitiveType.Quad, "Avatar " + index, transform);
            quad.transform.localPosition = new Vector3(2.2f * (index % columns - 0.5f * (columns - 1)), 3f + 2.2f * (index / columns), 14f);
            quad.transform.localScale = 2f * Vector3.one;
            var source = quad.AddComponent<AvatarSource>();
            source.Address = address;
            source.Model = avatarModel;
            source.Seed = index;
            var material = Blending(quad);
            source.Changed += texture => material.mainTexture = texture;
        }

        void HangMorph()
        {
            var quad = Create(PrimitiveType.Quad, "Morph", transform);
            quad.transform.localPosition = new Vector3(0f, 4.7f + 2.2f * rows, 14f);
            quad.transform.localScale = 4f * Vector3.one;
            Blending(quad);
            var morph = quad.AddComponent<AvatarMorph>();
            morph.Address = address;
            morph.Model = avatarModel;
            morph.Seeds = new long[] { 0, 1, 2, 3 };
        }

        // Avatars may be transparent: this shader blends straight alpha.
        Material Blending(GameObject quad)
        {
            var material = quad.GetComponent<MeshRenderer>().material;
            var shader = Shader.Find("Sprites/Default");
            if (shader != null) material.shader = shader;
            materials.Add(material);
            return material;
        }

        NpcBrain CreateBrain()
        {
            var brain = gameObject.AddComponent<NpcBrain>();
            brain.Address = address;
            brain.Model = npcModel;
            brain.Failed += error => Debug.LogWarning("The sidecar does not answer, trying again: " + error.Message, brain);
            brain.AgentFailed += npc => Debug.LogWarning(npc.name + " fails: " + npc.Failure, npc);
            brain.Recovered += () => Debug.Log("The sidecar answers again.", brain);
            return brain;
        }

        void Populate(int index, NpcBrain brain)
        {
            var plaza = new GameObject("Plaza " + index).AddComponent<AssistantPlaza>();
            plaza.transform.SetParent(transform, false);
            plaza.transform.localPosition = new Vector3(Pitch * (index - 0.5f * (plazaCount - 1)), 0f, 0f);
            plaza.Build(new AssistantWorld(new AssistantConfig(), (ulong)seed, (ulong)index));
            brain.Ticked += tick => plaza.Step();
            foreach (var npc in plaza.Npcs) npc.Brain = brain;
        }

        static GameObject Create(PrimitiveType type, string name, Transform parent)
        {
            var created = GameObject.CreatePrimitive(type);
            created.name = name;
            created.transform.SetParent(parent, false);
            return created;
        }
    }
}
