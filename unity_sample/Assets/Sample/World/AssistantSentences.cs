using System.Collections.Generic;

namespace Metabridge.Sample
{
    /// <summary>Something that a user says, and what it asks for.</summary>
    public sealed class AssistantSentence
    {
        /// <summary>Number of phrases by which each request is said.</summary>
        public const int Phrases = 4;

        static readonly string[][] Templates =
        {
            new[] { "guide me to the {0}", "take me to the {0}", "show me the way to the {0}", "where is the {0}" },
            new[] { "bring me the {0}", "please fetch the {0}", "i would like the {0}", "get the {0} for me" },
            new[] { "follow me", "come with me", "walk along with me", "stay close to me" },
            new[] { "keep your distance", "give me some room", "not so close please", "watch me from afar" },
            new[] { "wait at the {0}", "stay by the {0}", "stand at the {0} until i come", "hold still by the {0}" },
        };

        /// <summary>Every sentence, ordered by task, then target, then phrase.</summary>
        public static readonly IReadOnlyList<AssistantSentence> All = Every();

        /// <summary>What is said, in small letters.</summary>
        public string Text { get; }

        public AssistantTask Task { get; }

        /// <summary>What is named, an index into <see cref="AssistantSpec.Kinds"/>; -1 for nothing.</summary>
        public int Kind { get; }

        /// <summary>What an agent hears of it, float [64].</summary>
        public float[] Embedding { get; }

        AssistantSentence(string text, AssistantTask task, int kind)
        {
            Text = text;
            Task = task;
            Kind = kind;
            Embedding = SentenceEmbedding.Of(text);
        }

        /// <summary>The number of the sentence by which something is asked for, an index into <see cref="All"/>.</summary>
        public static int IndexOf(AssistantTask task, int kind, int phrase)
        {
            for (int i = 0; i < All.Count; i += Phrases)
            {
                if (All[i].Task == task && All[i].Kind == kind) return i + phrase;
            }
            return -1;
        }

        static IReadOnlyList<AssistantSentence> Every()
        {
            var said = new List<AssistantSentence>();
            for (int task = 0; task < Templates.Length; task++)
            {
                int first = 0, end = AssistantSpec.LandmarkCount;
                if ((AssistantTask)task == AssistantTask.Bring)
                {
                    first = end;
                    end = AssistantSpec.Kinds.Length;
                }
                else if ((AssistantTask)task == AssistantTask.Follow || (AssistantTask)task == AssistantTask.Keep)
                {
                    first = -1;
                    end = 0;
                }
                for (int kind = first; kind < end; kind++)
                {
                    string name = kind < 0 ? "" : AssistantSpec.Kinds[kind];
                    foreach (string template in Templates[task])
                    {
                        said.Add(new AssistantSentence(string.Format(template, name), (AssistantTask)task, kind));
                    }
                }
            }
            return said;
        }
    }
}
