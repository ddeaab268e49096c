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

        /// <summary>Generates tiles of the endless world of a seed in one message, which holds up to 4 MiB.</summary>
        public Task<TerrainTile[]> GenerateAsync(
            ulong seed, IEnumerable<TilePlace> places, SceneSettings settings, CallOptions options = default)
        {
            return Generate(Request(seed, places, settings), options);
        }

        /// <summary>Makes tiles from their codes, one array a place; tiles of one call fit each other.</summary>
        public Task<TerrainTile[]> DecodeAsync(
            IReadOnlyList<ushort[]> codes, IEnumerable<TilePlace> places, SceneSettings settings, CallOptions options = default)
        {
            var request = Request(0, places, settings);
            int side = codes.Count == 0 ? 0 : (int)Math.Round(Math.Sqrt(codes[0].Length));
            var joined = new List<ushort>();
            foreach (var tile in codes) joined.AddRange(tile);
            request.Codes = Tensors.FromUShorts(joined.ToArray(), codes.Count, side, side);
            return Generate(request, options);
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
        /// Generates a tile that fits its neighbours, 1 to 8 of them; those that come without a tile are the world's of the seed.
        /// </summary>
        public async Task<TerrainTile> ExtendAsync(
            ulong seed,
            TilePlace place,
            IEnumerable<TerrainNeighbour> neighbours,
            SceneSettings settings,
            CallOptions options = default)
        {
            var request = new ExtendSceneRequest
            {
                Model = settings.Selector(),
                Seed = seed,
                Coordinate = place.Message(),
                Conditions = settings.Conditions(),
                Output = settings.Output(),
            };
            foreach (var neighbour in neighbours) request.Neighbours.Add(neighbour.Message());
            var response = await service.ExtendSceneAsync(request, options);
            return new TerrainTile(response.Tile, response.Model);
        }

        /// <summary>
        /// Generates the cells of a mask anew, one a cell row by row; everything else keeps its bits. What is new at the edge continues
        /// the neighbours, 0 to 8 of them, each with its tile.
        /// </summary>
        public async Task<TerrainTile> EditAsync(
            TerrainTile tile,
            bool[] mask,
            ulong seed,
            SceneSettings settings,
            IEnumerable<TerrainNeighbour> neighbours = null,
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
            };
            foreach (var neighbour in neighbours ?? new TerrainNeighbour[0]) request.Neighbours.Add(neighbour.Message());
            var response = await service.EditSceneAsync(request, options);
            return new TerrainTile(response.Tile, response.Model);
        }

        /// <summary>
        /// Returns the codes of a height map in metres, row by row along +Z; ArgumentException when it is no square. Its ground
        /// follows from the heights.
        /// </summary>
        public async Task<ushort[]> EncodeAsync(float[] heights, SceneSettings settings, CallOptions options = default)
        {
            int side = (int)Math.Round(Math.Sqrt(heights.Length));
            var values = Tensors.FromFloats(heights, 1, side, side);
            var request = new EncodeSceneRequest
            {
                Model = settings.Selector(),
                Heights = new Heightmap { Values = values },
                Space = settings.Space,
            };
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
    }
}
