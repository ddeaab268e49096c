using UnityEngine;

namespace Metabridge
{
    /// <summary>Hears what is asked for in words, as the embedding of <see cref="SentenceEmbedding"/>.</summary>
    [AddComponentMenu("Metabridge/Instruction Sensor")]
    public sealed class InstructionSensor : MonoBehaviour
    {
        [SerializeField] string instruction = "";

        string embedded;
        float[] embedding;

        /// <summary>What is asked for; empty is silence.</summary>
        public string Instruction { get => instruction; set => instruction = value; }

        /// <summary>The names of what <see cref="Read"/> returns: "embedding_0" and on.</summary>
        public string[] Elements
        {
            get
            {
                var names = new string[SentenceEmbedding.Size];
                for (int i = 0; i < names.Length; i++) names[i] = "embedding_" + i;
                return names;
            }
        }

        /// <summary>Returns the embedding, <see cref="SentenceEmbedding.Size"/> numbers; zeros in silence.</summary>
        public float[] Read()
        {
            if (embedding == null || embedded != instruction)
            {
                embedded = instruction;
                embedding = SentenceEmbedding.Of(instruction ?? "");
            }
            return (float[])embedding.Clone();
        }
    }
}
