using System.Collections.Generic;
using UnityEngine;

namespace Metabridge
{
    /// <summary>What a viewer sees of a world: the tiles around the one below and, when it moves, around those ahead of it.</summary>
    sealed class TileView
    {
        const float Follow = 0.1f;

        Vector3 position;
        Vector3 pace;
        float side;

        /// <summary>The tile that the viewer is over.</summary>
        internal TilePlace Middle { get; private set; }

        /// <summary>The tile that it will be over, if it goes on like this.</summary>
        internal TilePlace Ahead { get; private set; }

        /// <summary>Where the viewer is, in the world's own space.</summary>
        internal Vector3 Position => position;

        /// <summary>
        /// Looks where the viewer is now. A tile is `side` metres long, 0 when that is not known yet; it looks `seconds` ahead, but
        /// not farther than `most` tiles. A jump over more than a tile is no movement.
        /// </summary>
        internal void Look(Vector3 now, float side, float seconds, int most)
        {
            var moved = now - position;
            moved.y = 0f;
            bool isJump = side <= 0f || side != this.side || moved.magnitude > side;
            if (isJump) pace = Vector3.zero;
            else if (Time.deltaTime > 0f) pace = Vector3.Lerp(pace, moved / Time.deltaTime, Follow);
            position = now;
            this.side = side;
            Middle = Place(now);
            Ahead = Place(now + Vector3.ClampMagnitude(pace * seconds, most * side));
        }

        /// <summary>Returns the places in view that `isThere` does not name, in the order of coming into view, at most `most`.</summary>
        internal List<TilePlace> Missing(int view, System.Func<TilePlace, bool> isThere, int most)
        {
            var missing = new List<TilePlace>();
            var found = new HashSet<TilePlace>();
            int steps = Distance(Middle, Ahead);
            for (int step = 0; step <= steps; step++)
            {
                float share = steps == 0 ? 0f : (float)step / steps;
                int x = Mathf.RoundToInt(Mathf.Lerp(Middle.X, Ahead.X, share)), y = Mathf.RoundToInt(Mathf.Lerp(Middle.Y, Ahead.Y, share));
                foreach (var place in Around(x, y, view))
                {
                    if (missing.Count == most) return missing;
                    if (found.Add(place) && !isThere(place)) missing.Add(place);
                }
            }
            return missing;
        }

        /// <summary>Whether a tile lies more than `view` tiles from the viewer and from where it goes.</summary>
        internal bool IsFar(TilePlace place, int view)
        {
            return Distance(place, Middle) > view && Distance(place, Ahead) > view;
        }

        // The tile itself, then ring after ring.
        static IEnumerable<TilePlace> Around(int left, int top, int view)
        {
            for (int ring = 0; ring <= view; ring++)
            {
                for (int y = -ring; y <= ring; y++)
                {
                    for (int x = -ring; x <= ring; x++)
                    {
                        if (Mathf.Max(Mathf.Abs(x), Mathf.Abs(y)) == ring) yield return new TilePlace(left + x, top + y);
                    }
                }
            }
        }

        static int Distance(TilePlace one, TilePlace other)
        {
            return Mathf.Max(Mathf.Abs(one.X - other.X), Mathf.Abs(one.Y - other.Y));
        }

        TilePlace Place(Vector3 at)
        {
            if (side <= 0f) return new TilePlace(0, 0);
            return new TilePlace(Mathf.FloorToInt(at.x / side), Mathf.FloorToInt(at.z / side));
        }
    }
}
