using System;
using Metabridge.V1;

namespace Metabridge
{
    /// <summary>The place of a tile in its world: it covers X to X + 1 tile lengths along +X and Y to Y + 1 along +Z.</summary>
    public readonly struct TilePlace : IEquatable<TilePlace>
    {
        public readonly int X;
        public readonly int Y;

        public TilePlace(int x, int y)
        {
            X = x;
            Y = y;
        }

        public bool Equals(TilePlace other)
        {
            return X == other.X && Y == other.Y;
        }

        public override bool Equals(object other)
        {
            return other is TilePlace && Equals((TilePlace)other);
        }

        public override int GetHashCode()
        {
            return unchecked(X * 486187739 + Y);
        }

        public override string ToString()
        {
            return "(" + X + ", " + Y + ")";
        }

        internal TileCoordinate Message()
        {
            return new TileCoordinate { X = X, Y = Y };
        }
    }
}
