using System;
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

        /// <summary>The model, its version and the execution provider that made it.</summary>
        public ServedBy Model { get; }

        internal TerrainTile(SceneTile tile, ServedBy model)
        {
            Place = new TilePlace(tile.Coordinate.X, tile.Coordinate.Y);
            Vertices = Length(tile.Heights.Values, "heights");
            Cells = Length(tile.Ground, "ground");
            Side = (float)tile.SideMetres;
            Heights = Tensors.ToFloats(tile.Heights.Values, "heights");
            Ground = Tensors.ToBytes(tile.Ground, "ground");
            ObjectClasses = Tensors.ToBytes(tile.Objects, "objects");
            Codes = Tensors.ToUShorts(tile.Codes, "codes");
            Objects = tile.Instances == null ? new TerrainObject[0] : Instances(tile.Instances);
            Model = model;
        }

        internal SceneTile Message()
        {
            return new SceneTile
            {
                Coordinate = Place.Message(),
                Codes = CodesMessage(),
                Heights = HeightsMessage(),
                Ground = Tensors.FromBytes(Ground, Cells, Cells),
                Objects = Tensors.FromBytes(ObjectClasses, Cells, Cells),
            };
        }

        internal Heightmap HeightsMessage()
        {
            return new Heightmap { Values = Tensors.FromFloats(Heights, Vertices, Vertices) };
        }

        internal Tensor CodesMessage()
        {
            int side = (int)Math.Round(Math.Sqrt(Codes.Length));
            return Tensors.FromUShorts(Codes, side, side);
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
