namespace Metabridge.Sample
{
    /// <summary>
    /// The uniform numbers of one layout, handed out in order: Philox-4x32-10 (Salmon et al., SC 2011), keyed by the seed and
    /// addressed by stream, episode and world, as export/npc/layout.py addresses them.
    /// </summary>
    sealed class WorldDraws
    {
        const int Rounds = 10;

        readonly ulong seed;
        readonly ulong world;
        readonly uint stream;
        readonly uint episode;
        readonly uint[] words = new uint[4];
        int next;

        internal WorldDraws(ulong seed, ulong world, uint episode, byte stream)
        {
            this.seed = seed;
            this.world = world;
            this.episode = episode;
            this.stream = (uint)stream << 24;
        }

        /// <summary>The next number between 0 and 1, the ends excluded.</summary>
        internal double Take()
        {
            if (next % 4 == 0) Fill((uint)(next / 4));
            return (words[next++ % 4] + 0.5) / 4294967296.0;
        }

        internal double[] Take(int count)
        {
            var taken = new double[count];
            for (int i = 0; i < count; i++) taken[i] = Take();
            return taken;
        }

        void Fill(uint block)
        {
            uint a = block | stream, b = episode, c = (uint)world, d = (uint)(world >> 32);
            uint key0 = (uint)seed, key1 = (uint)(seed >> 32);
            unchecked
            {
                for (int round = 0; round < Rounds; round++)
                {
                    ulong first = 0xD2511F53UL * a, second = 0xCD9E8D57UL * c;
                    a = (uint)(second >> 32) ^ b ^ key0;
                    b = (uint)second;
                    c = (uint)(first >> 32) ^ d ^ key1;
                    d = (uint)first;
                    key0 += 0x9E3779B9;
                    key1 += 0xBB67AE85;
                }
            }
            words[0] = a;
            words[1] = b;
            words[2] = c;
            words[3] = d;
        }
    }
}
