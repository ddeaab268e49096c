using System;
using UnityEngine;

namespace Metabridge
{
    /// <summary>Tiles as Unity's meshes, terrain data and textures.</summary>
    public static class TerrainMeshes
    {
        /// <summary>
        /// Returns a tile as a mesh from its origin to (side, side) along +X and +Z, its top up; a vertex a height, row by row. A tile
        /// has at most 65,535 vertices here.
        /// </summary>
        public static Mesh ToMesh(this TerrainTile tile)
        {
            int count = tile.Vertices;
            float step = tile.Side / (count - 1);
            var vertices = new Vector3[count * count];
            var uv = new Vector2[vertices.Length];
            for (int i = 0; i < vertices.Length; i++)
            {
                int row = i / count, column = i % count;
                vertices[i] = new Vector3(column * step, tile.Heights[i], row * step);
                uv[i] = new Vector2(column / (count - 1f), row / (count - 1f));
            }
            var mesh = new Mesh { name = "Terrain " + tile.Place, vertices = vertices, uv = uv, triangles = Triangles(count) };
            mesh.RecalculateNormals();
            mesh.RecalculateBounds();
            return mesh;
        }

        /// <summary>
        /// Writes a tile's heights into terrain data, which takes their number, the tile's side and a height from low to high; the
        /// terrain belongs at y = low. Neighbours fit when low and high are the same for all tiles. ArgumentException for a number of
        /// heights that terrain data does not take.
        /// </summary>
        public static void CopyTo(this TerrainTile tile, TerrainData data, float low, float high)
        {
            int count = tile.Vertices;
            data.heightmapResolution = count;
            if (data.heightmapResolution != count)
            {
                string message = "terrain data takes " + data.heightmapResolution + " heights a side, the tile has " + count;
                throw new ArgumentException(message + "; set SceneSettings.Vertices", nameof(tile));
            }
            data.size = new Vector3(tile.Side, high - low, tile.Side);
            var heights = new float[count, count];
            for (int i = 0; i < tile.Heights.Length; i++)
            {
                heights[i / count, i % count] = Mathf.Clamp01((tile.Heights[i] - low) / (high - low));
            }
            data.SetHeights(0, 0, heights);
        }

        /// <summary>Returns a texture with a texel a cell in the colours of the ground classes; classes without one are white.</summary>
        public static Texture2D ToTexture(this TerrainTile tile, Color32[] colours)
        {
            var pixels = new Color32[tile.Ground.Length];
            for (int i = 0; i < pixels.Length; i++)
            {
                int kind = tile.Ground[i];
                pixels[i] = kind < colours.Length ? colours[kind] : new Color32(255, 255, 255, 255);
            }
            var texture = new Texture2D(tile.Cells, tile.Cells, TextureFormat.RGBA32, false) { wrapMode = TextureWrapMode.Clamp };
            texture.SetPixels32(pixels);
            texture.Apply(false);
            return texture;
        }

        static int[] Triangles(int count)
        {
            var triangles = new int[6 * (count - 1) * (count - 1)];
            int next = 0;
            for (int row = 0; row < count - 1; row++)
            {
                for (int column = 0; column < count - 1; column++)
                {
                    int near = row * count + column, far = near + count;
                    triangles[next++] = near;
                    triangles[next++] = far;
                    triangles[next++] = near + 1;
                    triangles[next++] = near + 1;
                    triangles[next++] = far;
                    triangles[next++] = far + 1;
                }
            }
            return triangles;
        }
    }
}
