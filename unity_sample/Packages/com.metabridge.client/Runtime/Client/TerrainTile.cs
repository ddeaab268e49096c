using System;
using System.Collections.Generic;
using Metabridge.Internal;
using Metabridge.V1;

namespace Metabridge
{
    /// <summary>
    /// A tile of terrain. Grids are row by row; the row runs along +Z and the column along +X, as TerrainData.SetHeights has them.
    /// Neighbours have the same bits on the vertices that they share.
    /// </summary>
    public sealed class TerrainTile
    {
        public TilePlace Place { get; }

        /// <summary>Heights along a side.</summary>
        public int Vertices { get; }

        /// <summary>Cells along a side.</summary>
        public int Cells { get; }

        /// <summary>Length of a side in metres.</summary>
        public float Side { get; }

        /// <summary>Heights of the ground in metres; 0 is the water level.</summary>
        public float[] Heights { get; }

        /// <summary>Ground class of each cell, index into the model's classes.</summary>
        public byte[] Ground { get; }

        /// <summary>What stands on each cell, index into the model's object classes; 0 is nothing.</summary>
        public byte[] ObjectClasses { get; }

        /// <summary>The objects; empty unless they were asked for.</summary>
        public TerrainObject[] Objects { get; }

        /// <summary>The codes that the tile can be made from again.</summary>
        public ushort[] Codes { get; }

        /// <summary>The seed that places the objects: the world's, or that of the call which extended it. An edit keeps it.</summary>
        public ulong Seed { get; }

        /// <summary>The model, its version and the execution provider that made it.</summary>
        public ServedBy Model { get; }

        internal TerrainTile(SceneTile tile, ServedBy model)
        {
            Place = new TilePlace(tile.Coordinate.X, tile.Coordinate.Y);
            Vertices = Length(tile.Heights.Values, "heights");
            Cells = Length(tile.Ground, "ground");
            Side = (float)tile.SideMetres;
            Seed = tile.Seed;
            Heights = Tensors.ToFloats(tile.Heights.Values, "heights");
            Ground = Tensors.ToBytes(tile.Ground, "ground");
            ObjectClasses = Tensors.ToBytes(tile.Objects, "objects");
            Codes = Tensors.ToUShorts(tile.Codes, "codes");
            Objects = tile.Instances == null ? new TerrainObject[0] : Instances(tile.Instances);
            Model = model;
        }

        /// <summary>
        /// Returns how much of each class a cell shows, [row, column, class] as TerrainData.SetAlphamaps wants it, with the sum 1:
        /// each cell counts with its eight neighbours, 4 : 2 : 1. Beyond the edge lies the ground of those of the tiles around, found by
        /// their places, that are given; where none is, the nearest cell counts again. Classes from `classes` on count as the last one.
        /// ArgumentOutOfRangeException without classes, ArgumentException for a tile around with another number of cells.
        /// </summary>
        public float[,,] SplatWeights(int classes, IEnumerable<TerrainTile> around = null)
        {
            if (classes < 1) throw new ArgumentOutOfRangeException(nameof(classes), classes + " classes, expected 1 or more");
            var tiles = Surrounded(around ?? new TerrainTile[0]);
            var weights = new float[Cells, Cells, classes];
            for (int i = 0; i < Ground.Length; i++)
            {
                for (int near = 0; near < 9; near++)
                {
                    int y = near / 3 - 1, x = near % 3 - 1;
                    int kind = Math.Min(GroundAt(tiles, i / Cells + y, i % Cells + x), classes - 1);
                    weights[i / Cells, i % Cells, kind] += (2 - Math.Abs(y)) * (2 - Math.Abs(x)) / 16f;
                }
            }
            return weights;
        }

        internal SceneTile Message()
        {
            return new SceneTile
            {
                Coordinate = Place.Message(),
                Codes = CodesMessage(),
                Heights = HeightsMessage(),
                Ground = GroundMessage(),
                Objects = ObjectClassesMessage(),
                Seed = Seed,
            };
        }

        internal Heightmap HeightsMessage()
        {
            return new Heightmap { Values = Tensors.FromFloats(Heights, Vertices, Vertices) };
        }

        internal Tensor GroundMessage()
        {
            return Tensors.FromBytes(Ground, Cells, Cells);
        }

        internal Tensor ObjectClassesMessage()
        {
            return Tensors.FromBytes(ObjectClasses, Cells, Cells);
        }

        internal Tensor CodesMessage()
        {
            int side = (int)Math.Round(Math.Sqrt(Codes.Length));
            return Tensors.FromUShorts(Codes, side, side);
        }

        // Returns this tile and those that touch it, [row, column], this one in the middle.
        TerrainTile[,] Surrounded(IEnumerable<TerrainTile> around)
        {
            var tiles = new TerrainTile[3, 3];
            foreach (var tile in around)
            {
                long x = (long)tile.Place.X - Place.X, y = (long)tile.Place.Y - Place.Y;
                if (Math.Abs(x) > 1 || Math.Abs(y) > 1) continue;
                if (tile.Cells != Cells)
                {
                    string message = "the tile at " + tile.Place + " has " + tile.Cells + " cells a side, expected " + Cells;
                    throw new ArgumentException(message + " as at " + Place, nameof(around));
                }
                tiles[1 + y, 1 + x] = tile;
            }
            tiles[1, 1] = this;
            return tiles;
        }

        // Returns the class of a cell of this tile or of the ring of one cell around it.
        int GroundAt(TerrainTile[,] tiles, int row, int column)
        {
            var there = tiles[row < 0 ? 0 : row < Cells ? 1 : 2, column < 0 ? 0 : column < Cells ? 1 : 2];
            if (there != null) return there.Ground[(row + Cells) % Cells * Cells + (column + Cells) % Cells];
            return Ground[Math.Max(0, Math.Min(Cells - 1, row)) * Cells + Math.Max(0, Math.Min(Cells - 1, column))];
        }

        static TerrainObject[] Instances(ObjectInstances instances)
        {
            var classes = Tensors.ToBytes(instances.Classes, "instances.classes");
            var positions = Tensors.ToFloats(instances.Positions, "instances.positions");
            var yaws = Tensors.ToFloats(instances.Yaws, "instances.yaws");
            var scales = Tensors.ToFloats(instances.Scales, "instances.scales");
            var objects = new TerrainObject[classes.Length];
            for (int i = 0; i < objects.Length; i++)
            {
                float x = positions[3 * i], y = positions[3 * i + 1], z = positions[3 * i + 2];
                objects[i] = new TerrainObject(classes[i], x, y, z, yaws[i], scales[i]);
            }
            return objects;
        }

        static int Length(Tensor tensor, string name)
        {
            if (tensor.Shape.Count < 2) throw new FormatException(name + " has " + tensor.Shape.Count + " axes, expected 2");
            return (int)tensor.Shape[0];
        }
    }
}
