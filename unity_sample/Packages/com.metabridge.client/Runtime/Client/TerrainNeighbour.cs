using Metabridge.V1;

namespace Metabridge
{
    /// <summary>A tile that a new one has to fit, and where it lies beside it: -1, 0 or 1 along +X and +Z.</summary>
    public sealed class TerrainNeighbour
    {
        readonly TerrainTile tile;

        public int XOffset { get; }

        public int YOffset { get; }

        /// <summary>A tile from an answer, or, for null, the one that the world of the call has at that place.</summary>
        public TerrainNeighbour(int xOffset, int yOffset, TerrainTile tile = null)
        {
            XOffset = xOffset;
            YOffset = yOffset;
            this.tile = tile;
        }

        internal SceneNeighbour Message()
        {
            var message = new SceneNeighbour { XOffset = XOffset, YOffset = YOffset };
            if (tile == null) return message;
            message.Codes = tile.CodesMessage();
            message.Heights = tile.HeightsMessage();
            message.Ground = tile.GroundMessage();
            message.Objects = tile.ObjectClassesMessage();
            return message;
        }
    }
}
