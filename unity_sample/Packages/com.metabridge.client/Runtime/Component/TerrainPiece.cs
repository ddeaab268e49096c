using System.Collections.Generic;
using UnityEngine;

namespace Metabridge
{
    /// <summary>
    /// A tile that stands in the world, with what was made for it alone. Where pieces meet they show the mean of their normals, so
    /// that no edge is seen between them.
    /// </summary>
    sealed class TerrainPiece
    {
        readonly int count;
        readonly Vector3[] own;
        readonly Vector3[] shown;

        internal TerrainTile Tile { get; }

        internal GameObject Root { get; }

        /// <summary>The mesh of the ground; null for a terrain.</summary>
        internal Mesh Mesh { get; }

        /// <summary>The terrain of the ground; null for a mesh.</summary>
        internal Terrain Terrain { get; }

        internal Texture2D Texture { get; set; }

        internal TerrainPiece(TerrainTile tile, GameObject root)
        {
            Tile = tile;
            Root = root;
            Mesh = tile.ToMesh();
            count = tile.Vertices;
            own = Mesh.normals;
            shown = Mesh.normals;
        }

        internal TerrainPiece(TerrainTile tile, GameObject root, Terrain terrain)
        {
            Tile = tile;
            Root = root;
            Terrain = terrain;
            own = shown = new Vector3[0];
        }

        /// <summary>Destroys the game object and what it shows.</summary>
        internal void Destroy()
        {
            if (Mesh != null) Object.Destroy(Mesh);
            if (Terrain != null) Object.Destroy(Terrain.terrainData);
            if (Texture != null) Object.Destroy(Texture);
            if (Root != null) Object.Destroy(Root);
        }

        /// <summary>
        /// Lets the piece at a place and those around it agree on the normals of the vertices that they share, or, where they are
        /// terrains, on the level of detail of their edges.
        /// </summary>
        internal static void Join(TilePlace place, Dictionary<TilePlace, TerrainPiece> pieces)
        {
            var piece = pieces[place];
            if (piece.Terrain != null)
            {
                Connect(place, pieces);
                Connect(new TilePlace(place.X - 1, place.Y), pieces);
                Connect(new TilePlace(place.X + 1, place.Y), pieces);
                Connect(new TilePlace(place.X, place.Y - 1), pieces);
                Connect(new TilePlace(place.X, place.Y + 1), pieces);
                return;
            }
            int last = piece.count - 1;
            for (int i = 0; i <= last; i++)
            {
                piece.Join(place, 0, i, pieces);
                piece.Join(place, last, i, pieces);
                piece.Join(place, i, 0, pieces);
                piece.Join(place, i, last, pieces);
            }
            foreach (var near in Around(place, pieces))
            {
                if (near.Mesh != null) near.Mesh.normals = near.shown;
            }
        }

        /// <summary>Returns the piece at a place and those that touch it, as far as they stand.</summary>
        internal static IEnumerable<TerrainPiece> Around(TilePlace place, Dictionary<TilePlace, TerrainPiece> pieces)
        {
            for (int y = -1; y <= 1; y++)
            {
                for (int x = -1; x <= 1; x++)
                {
                    if (pieces.TryGetValue(new TilePlace(place.X + x, place.Y + y), out var piece)) yield return piece;
                }
            }
        }

        static void Connect(TilePlace place, Dictionary<TilePlace, TerrainPiece> pieces)
        {
            var terrain = At(place.X, place.Y, pieces);
            if (terrain == null) return;
            var left = At(place.X - 1, place.Y, pieces);
            var right = At(place.X + 1, place.Y, pieces);
            terrain.SetNeighbors(left, At(place.X, place.Y + 1, pieces), right, At(place.X, place.Y - 1, pieces));
        }

        static Terrain At(int x, int y, Dictionary<TilePlace, TerrainPiece> pieces)
        {
            return pieces.TryGetValue(new TilePlace(x, y), out var piece) ? piece.Terrain : null;
        }

        void Join(TilePlace place, int row, int column, Dictionary<TilePlace, TerrainPiece> pieces)
        {
            int last = count - 1;
            int x = column == 0 ? -1 : column == last ? 1 : 0, y = row == 0 ? -1 : row == last ? 1 : 0;
            var sum = Vector3.zero;
            for (int pass = 0; pass < 2; pass++)
            {
                for (int corner = 0; corner < 4; corner++)
                {
                    int dx = (corner & 1) == 0 ? 0 : x, dy = (corner & 2) == 0 ? 0 : y;
                    if (((corner & 1) != 0 && x == 0) || ((corner & 2) != 0 && y == 0)) continue;
                    if (!pieces.TryGetValue(new TilePlace(place.X + dx, place.Y + dy), out var other) || other.count != count) continue;
                    int vertex = (row - dy * last) * count + column - dx * last;
                    if (pass == 0) sum += other.own[vertex];
                    else other.shown[vertex] = sum.normalized;
                }
            }
        }
    }
}
