using System.Collections.Generic;
using UnityEngine;

namespace Metabridge.Sample
{
    /// <summary>
    /// Builds the sample at play: a wall of avatars, above it one that turns into others and, in front, NPCs that follow their users
    /// through the plaza. It needs a sidecar that serves the models named here.
    /// </summary>
    public sealed class PlazaScene : MonoBehaviour
    {
        const float Pitch = 22f;

        [SerializeField] string address = "http://127.0.0.1:50052";
        [SerializeField] string avatarModel = "pixel";
        [SerializeField] string npcModel = "assistant";
        [SerializeField] int columns = 8;
        [SerializeField] int rows = 2;
        [SerializeField] int npcCount = 4;

        readonly List<Material> materials = new List<Material>();

        /// <summary>Address of the sidecar's web port; set before Start.</summary>
        public string Address { get => address; set => address = value; }

        /// <summary>Where the NPCs walk; the sample's own course unless set before Start.</summary>
        public PlazaCourse Course { get; set; }

        void Start()
        {
            for (int i = 0; i < columns * rows; i++) HangAvatar(i);
            HangMorph();
            var course = Course ?? JsonUtility.FromJson<PlazaCourse>(Resources.Load<TextAsset>("plaza-course").text);
            var brain = CreateBrain();
            for (int i = 0; i < Mathf.Min(npcCount, course.worlds.Length); i++) Populate(course, i, brain);
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
            brain.Recovered += () => Debug.Log("The sidecar answers again.", brain);
            return brain;
        }

        void Populate(PlazaCourse course, int index, NpcBrain brain)
        {
            var place = new GameObject("Plaza " + index).transform;
            place.SetParent(transform, false);
            place.localPosition = new Vector3(Pitch * (index - 0.5f * (npcCount - 1)), 0f, 0f);
            var state = course.worlds[index];
            foreach (var obstacle in state.obstacles)
            {
                var pillar = Create(PrimitiveType.Cylinder, "Obstacle", place).transform;
                pillar.localPosition = new Vector3((float)-obstacle.x, 1f, (float)obstacle.z);
                pillar.localScale = new Vector3(2f * (float)obstacle.radius, 1f, 2f * (float)obstacle.radius);
            }
            var user = Create(PrimitiveType.Capsule, "User", place).transform;
            user.localPosition = Vector3.up;
            var body = Create(PrimitiveType.Cube, "NPC", place);
            body.transform.localPosition = 0.5f * Vector3.up;
            body.transform.localScale = new Vector3(0.6f, 1f, 0.8f);
            var npc = body.AddComponent<PlazaNpc>();
            npc.World = new PlazaWorld(course.constants, state);
            npc.User = user;
            npc.Show();
            npc.Brain = brain;
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
