using System;
using System.Collections.Generic;
using System.Threading.Tasks;
using Metabridge.Internal;
using Metabridge.Transport;
using Metabridge.V1;

namespace Metabridge
{
    /// <summary>
    /// Makes tiles of terrain: the same model, seed, conditions and place give the same tile, whatever was asked for before.
    /// </summary>
    public sealed class SceneClient
    {
        readonly SceneServiceClient service;

        public SceneClient(ITransport transport)
        {
            service = new SceneServiceClient(transport);
        }

        /// <summary>
        /// Generates tiles of the endless world of a seed in one message, which holds up to 4 MiB. Painted ground is the class asked for
        /// in each cell, one array a place, -1 where it is free; ArgumentException when the arrays are no squares of one size.
        /// </summary>
        public Task<TerrainTile[]> GenerateAsync(
            ulong seed,
            IEnumerable<TilePlace> places,
            SceneSettings settings,
            IReadOnlyList<sbyte[]> paintedGround = null,
            CallOptions options = default)
        {
            var request = Request(seed, places, settings);
            if (paintedGround != null)
            {
                var painted = Joined(paintedGround, nameof(paintedGround), out int side);
                request.PaintedGround = Tensors.FromSBytes(painted, paintedGround.Count, side, side);
            }
            return Generate(request, options);
        }

        /// <summary>
        /// Makes tiles from their codes, one array a place; tiles of one call fit each other. The seed of their world places their
        /// objects. With fitWorld the tiles lie in that world, made with these settings: those that they depend on, and that have no
        /// codes here, are made too, so that any part of a saved world comes back bit for bit. ArgumentException when the arrays are no
        /// squares of one size.
        /// </summary>
        public Task<TerrainTile[]> DecodeAsync(
            ulong seed,
            IReadOnlyList<ushort[]> codes,
            IEnumerable<TilePlace> places,
            SceneSettings settings,
            bool fitWorld = false,
            CallOptions options = default)
        {
            var request = Request(seed, places, settings);
            request.Codes = Codes(codes);
            request.FitWorld = fitWorld;
            return Generate(request, options);
        }

        /// <summary>
        /// Makes tiles from their codes as DecodeAsync does, and hands over each as soon as it is ready, as StreamAsync does: for saved
        /// worlds that do not fit into one message.
        /// </summary>
        public Task StreamDecodedAsync(
            ulong seed,
            IReadOnlyList<ushort[]> codes,
            IEnumerable<TilePlace> places,
            SceneSettings settings,
            Func<TerrainTile, Task> onTile,
            bool fitWorld = false,
            CallOptions options = default)
        {
            var request = Streamed(seed, settings);
            foreach (var place in places) request.Coordinates.Add(place.Message());
            request.Codes = Codes(codes);
            request.FitWorld = fitWorld;
            return Stream(request, onTile, options);
        }

        /// <summary>
        /// Generates tiles of the endless world of a seed and hands over each as soon as it is ready; its place says which it is.
        /// Nothing more is read before the callback's task is done; the thread is the transport's.
        /// </summary>
        public Task StreamAsync(
            ulong seed,
            IEnumerable<TilePlace> places,
            SceneSettings settings,
            Func<TerrainTile, Task> onTile,
            CallOptions options = default)
        {
            var request = Streamed(seed, settings);
            foreach (var place in places) request.Coordinates.Add(place.Message());
            return Stream(request, onTile, options);
        }

        /// <summary>
        /// Generates the tiles that come into view along a camera's path, as StreamAsync does: through points on the map in straight
        /// lines, seeing so far, both in the unit of the settings' space. 0 sees only the tiles that it is over.
        /// </summary>
        public Task StreamAlongAsync(
            ulong seed,
            IEnumerable<MapPoint> points,
            double viewDistance,
            SceneSettings settings,
            Func<TerrainTile, Task> onTile,
            CallOptions options = default)
        {
            var request = Streamed(seed, settings);
            request.Path = new CameraPath { ViewDistance = viewDistance };
            request.Path.Points.AddRange(points);
            return Stream(request, onTile, options);
        }

        /// <summary>
        /// Generates a tile that fits its neighbours, 1 to 8 of them; those that come without a tile are the world's of the seed. Painted
        /// ground is the class asked for in each cell, -1 where it is free.
        /// </summary>
        public async Task<TerrainTile> ExtendAsync(
            ulong seed,
            TilePlace place,
            IEnumerable<TerrainNeighbour> neighbours,
            SceneSettings settings,
            sbyte[] paintedGround = null,
            CallOptions options = default)
        {
            var request = new ExtendSceneRequest
            {
                Model = settings.Selector(),
                Seed = seed,
                Coordinate = place.Message(),
                Conditions = settings.Conditions(),
                Output = settings.Output(),
                PaintedGround = Painted(paintedGround),
            };
            foreach (var neighbour in neighbours) request.Neighbours.Add(neighbour.Message());
            var response = await service.ExtendSceneAsync(request, options);
            return new TerrainTile(response.Tile, response.Model);
        }

        /// <summary>
        /// Generates the cells of a mask anew, one a cell row by row; everything else keeps its bits. What is new at the edge continues
        /// the neighbours, 0 to 8 of them, each with its tile. Painted ground is the class asked for in each cell, -1 where it is free.
        /// </summary>
        public async Task<TerrainTile> EditAsync(
            TerrainTile tile,
            bool[] mask,
            ulong seed,
            SceneSettings settings,
            IEnumerable<TerrainNeighbour> neighbours = null,
            sbyte[] paintedGround = null,
            CallOptions options = default)
        {
            var request = new EditSceneRequest
            {
                Model = settings.Selector(),
                Tile = tile.Message(),
                Mask = Tensors.FromBools(mask, tile.Cells, tile.Cells),
                Seed = seed,
                Conditions = settings.Conditions(),
                Output = settings.Output(),
                PaintedGround = Painted(paintedGround),
            };
            foreach (var neighbour in neighbours ?? new TerrainNeighbour[0]) request.Neighbours.Add(neighbour.Message());
            var response = await service.EditSceneAsync(request, options);
            return new TerrainTile(response.Tile, response.Model);
        }

        /// <summary>
        /// Returns the codes of a height map in metres, row by row along +Z. Ground classes, one a cell, follow from the heights where
        /// they are not given; object classes are none. The length of a cell in metres must be the model's; 0 says that it is.
        /// ArgumentException when the heights are no square, or the classes not as many as its cells.
        /// </summary>
        public async Task<ushort[]> EncodeAsync(
            float[] heights,
            SceneSettings settings,
            byte[] ground = null,
            byte[] objects = null,
            double metresPerCell = 0,
            CallOptions options = default)
        {
            int side = Side(heights);
            var values = Tensors.FromFloats(heights, 1, side, side);
            var request = new EncodeSceneRequest
            {
                Model = settings.Selector(),
                Heights = new Heightmap { Values = values },
                Space = settings.Space,
                MetresPerCell = metresPerCell,
            };
            if (ground != null) request.Ground = Tensors.FromBytes(ground, 1, side - 1, side - 1);
            if (objects != null) request.Objects = Tensors.FromBytes(objects, 1, side - 1, side - 1);
            var response = await service.EncodeSceneAsync(request, options);
            return Tensors.ToUShorts(response.Codes, "codes");
        }

        async Task<TerrainTile[]> Generate(GenerateSceneRequest request, CallOptions options)
        {
            var response = await service.GenerateSceneAsync(request, options);
            var tiles = new TerrainTile[response.Tiles.Count];
            for (int i = 0; i < tiles.Length; i++) tiles[i] = new TerrainTile(response.Tiles[i], response.Model);
            return tiles;
        }

        Task Stream(StreamScenesRequest request, Func<TerrainTile, Task> onTile, CallOptions options)
        {
            return service.StreamScenesAsync(request, message => onTile(new TerrainTile(message.Tile, message.Model)), options);
        }

        static StreamScenesRequest Streamed(ulong seed, SceneSettings settings)
        {
            return new StreamScenesRequest
            {
                Model = settings.Selector(),
                Seed = seed,
                Conditions = settings.Conditions(),
                Output = settings.Output(),
            };
        }

        static GenerateSceneRequest Request(ulong seed, IEnumerable<TilePlace> places, SceneSettings settings)
        {
            var request = new GenerateSceneRequest
            {
                Model = settings.Selector(),
                Conditions = settings.Conditions(),
                Output = settings.Output(),
            };
            request.Seeds.Add(seed);
            foreach (var place in places) request.Coordinates.Add(place.Message());
            return request;
        }

        static Tensor Codes(IReadOnlyList<ushort[]> codes)
        {
            return Tensors.FromUShorts(Joined(codes, nameof(codes), out int side), codes.Count, side, side);
        }

        static Tensor Painted(sbyte[] ground)
        {
            return ground == null ? null : Tensors.FromSBytes(ground, Side(ground), Side(ground));
        }

        static int Side(Array grid)
        {
            return (int)Math.Round(Math.Sqrt(grid.Length));
        }

        static T[] Joined<T>(IReadOnlyList<T[]> grids, string name, out int side)
        {
            side = grids.Count == 0 ? 0 : Side(grids[0]);
            var joined = new List<T>();
            for (int i = 0; i < grids.Count; i++)
            {
                if (grids[i].Length != side * side)
                {
                    string message = name + "[" + i + "] has " + grids[i].Length + " values, expected " + side + " x " + side;
                    throw new ArgumentException(message + ": squares of one size", name);
                }
                joined.AddRange(grids[i]);
            }
            return joined.ToArray();
        }
    }
}
