using System;
using System.Collections.Generic;
using System.Linq;
using UnityEngine;
#if UNITY_2018_3_OR_NEWER
using Layer = UnityEngine.TerrainLayer;
#else
using Layer = UnityEngine.SplatPrototype;
#endif

namespace Metabridge
{
    /// <summary>
    /// The terrain layers of ground classes, which the terrains of a builder share: a texture a class, or a plain one of its colour
    /// where it has none.
    /// </summary>
    sealed class GroundLayers
    {
        const int PlainSize = 4;

        readonly Layer[] layers;
        readonly Texture2D[] plain;

        /// <summary>Makes layers for as many classes as there are textures or colours; a texture covers a square of so many metres.</summary>
        internal GroundLayers(Texture2D[] textures, Color32[] colours, float metres)
        {
            int count = Mathf.Max(textures.Length, colours.Length);
            layers = new Layer[count];
            plain = new Texture2D[count];
            for (int i = 0; i < count; i++)
            {
                var texture = i < textures.Length ? textures[i] : null;
                if (texture == null)
                {
                    plain[i] = Plain(i < colours.Length ? colours[i] : new Color32(255, 255, 255, 255));
                    texture = plain[i];
                }
#if UNITY_2018_3_OR_NEWER
                layers[i] = new Layer { diffuseTexture = texture, tileSize = new Vector2(metres, metres) };
#else
                layers[i] = new Layer { texture = texture, tileSize = new Vector2(metres, metres) };
#endif
            }
        }

        /// <summary>
        /// Gives terrain data the layers, a texel for each cell of a tile. ArgumentException for a number of cells that terrain data does
        /// not take.
        /// </summary>
        internal void Lay(TerrainTile tile, TerrainData data)
        {
            data.alphamapResolution = tile.Cells;
            if (data.alphamapResolution != tile.Cells)
            {
                string message = "terrain data takes " + data.alphamapResolution + " texels a side, the tile has " + tile.Cells;
                throw new ArgumentException(message + " cells; leave GroundTextures and GroundColours empty", nameof(tile));
            }
#if UNITY_2018_3_OR_NEWER
            data.terrainLayers = layers;
#else
            data.splatPrototypes = layers;
#endif
        }

        /// <summary>Covers the terrain at a place with its ground, and those around it again, which now go on with it.</summary>
        internal void Cover(TilePlace place, Dictionary<TilePlace, TerrainPiece> pieces)
        {
            foreach (var piece in TerrainPiece.Around(place, pieces))
            {
                if (piece.Terrain == null) continue;
                var around = TerrainPiece.Around(piece.Tile.Place, pieces).Select(one => one.Tile);
                piece.Terrain.terrainData.SetAlphamaps(0, 0, piece.Tile.SplatWeights(layers.Length, around));
            }
        }

        /// <summary>Destroys what was made here; textures of others stay.</summary>
        internal void Destroy()
        {
            foreach (var texture in plain)
            {
                if (texture != null) UnityEngine.Object.Destroy(texture);
            }
#if UNITY_2018_3_OR_NEWER
            foreach (var layer in layers) UnityEngine.Object.Destroy(layer);
#endif
        }

        static Texture2D Plain(Color32 colour)
        {
            var pixels = new Color32[PlainSize * PlainSize];
            for (int i = 0; i < pixels.Length; i++) pixels[i] = colour;
            var texture = new Texture2D(PlainSize, PlainSize, TextureFormat.RGBA32, false);
            texture.SetPixels32(pixels);
            texture.Apply(false);
            return texture;
        }
    }
}
