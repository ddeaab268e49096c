using System;
using System.Collections.Generic;
using System.Text;

namespace Metabridge
{
    /// <summary>
    /// The embedding by which an assistant hears a sentence: words and pairs of neighbouring words, hashed (FNV-1a, 32 bits) into a
    /// signed count vector of length 1. Feature hashing, Weinberger et al. 2009, arXiv:0902.2206. It needs no model.
    /// </summary>
    public static class SentenceEmbedding
    {
        /// <summary>Number of elements.</summary>
        public const int Size = 64;

        /// <summary>Returns the embedding of a sentence, <see cref="Size"/> numbers; zeros for one without words.</summary>
        public static float[] Of(string sentence)
        {
            var counts = new double[Size];
            string before = null;
            foreach (string word in Words(sentence))
            {
                Count(counts, word);
                if (before != null) Count(counts, before + " " + word);
                before = word;
            }
            double squared = 0;
            foreach (double count in counts) squared += count * count;
            double length = Math.Max(Math.Sqrt(squared), 1e-9);
            return Array.ConvertAll(counts, count => (float)(count / length));
        }

        static IEnumerable<string> Words(string sentence)
        {
            var word = new StringBuilder();
            foreach (char letter in sentence.ToLowerInvariant())
            {
                if ((letter >= 'a' && letter <= 'z') || (letter >= '0' && letter <= '9'))
                {
                    word.Append(letter);
                    continue;
                }
                if (word.Length > 0) yield return word.ToString();
                word.Length = 0;
            }
            if (word.Length > 0) yield return word.ToString();
        }

        static void Count(double[] counts, string token)
        {
            uint code = 2166136261;
            foreach (char letter in token) code = unchecked((code ^ letter) * 16777619);
            counts[code % Size] += code >> 31 == 1 ? 1.0 : -1.0;
        }
    }
}
