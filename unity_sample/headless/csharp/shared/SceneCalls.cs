using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading.Tasks;
using Metabridge.Transport;
using Metabridge.V1;

namespace Metabridge.Headless
{
    /// <summary>
    /// Calls everything that SceneClient has over one transport, and leaves tiles and what was said behind. The same code runs on
    /// .NET and in the player.
    /// </summary>
    sealed class SceneCalls
    {
        const ulong Seed = ulong.MaxValue;
        static readonly TilePlace[] Places = { new TilePlace(0, 0), new TilePlace(1, 1), new TilePlace(-2, 3) };

        readonly Action<string, string> report;
        readonly string folder;
        readonly SceneClient client;

        internal SceneCalls(Action<string, string> report, string folder, ITransport transport)
        {
            this.report = report;
            this.folder = folder;
            client = new SceneClient(transport);
        }

        internal async Task Run()
        {
            var tiles = await client.GenerateAsync(Seed, Places, Island());
            for (int i = 0; i < tiles.Length; i++) Write("generated-" + i, tiles[i]);
            await Stream();
            await Rest(tiles);
            await Painted(tiles);
            await Weights();
            await Climates();
            await Errors(tiles[0]);
        }

        static SceneSettings Island()
        {
            return new SceneSettings { Model = "island", Biome = "mountains", Ruggedness = 0.5f, WaterShare = 0.25f };
        }

        async Task Stream()
        {
            await client.StreamAsync(Seed, Places, Island(), tile =>
            {
                Write("streamed-" + Array.IndexOf(Places, tile.Place), tile);
                return Task.CompletedTask;
            });
            var points = new[] { new MapPoint { X = 5, Y = 5 }, new MapPoint { X = 75, Y = -5 } };
            int count = 0;
            await client.StreamAlongAsync(Seed, points, 20, Island(), tile =>
            {
                Write("along-" + tile.Place, tile);
                count++;
                return Task.CompletedTask;
            });
            report("along", count.ToString());
        }

        async Task Rest(TerrainTile[] tiles)
        {
            var neighbours = new[] { new TerrainNeighbour(-1, 0, tiles[1]), new TerrainNeighbour(1, 0) };
            Write("extended-0", await client.ExtendAsync(7, new TilePlace(4, 2), neighbours, Island()));
            var mask = new bool[tiles[0].Cells * tiles[0].Cells];
            for (int i = 0; i < mask.Length / 2; i++) mask[i] = true;
            Write("edited-0", await client.EditAsync(tiles[0], mask, 5, Island()));
            var corner = new[] { new TerrainNeighbour(1, 1, tiles[1]) };
            Write("edited-1", await client.EditAsync(tiles[0], mask, 5, Island(), corner));
            var codes = await client.EncodeAsync(tiles[0].Heights, Island());
            var places = new[] { Places[0], new TilePlace(1, 0) };
            var again = await client.DecodeAsync(Seed, new[] { codes, tiles[1].Codes }, places, Island());
            for (int i = 0; i < again.Length; i++) Write("decoded-" + i, again[i]);
            await Saved(tiles);
            var known = await client.EncodeAsync(tiles[0].Heights, Island(), tiles[1].Ground, tiles[1].ObjectClasses, 2.0);
            report("encoded with classes", string.Join(" ", known));
        }

        // Two tiles of the world without those that they depend on.
        async Task Saved(TerrainTile[] tiles)
        {
            var codes = new[] { tiles[1].Codes, tiles[2].Codes };
            var places = new[] { tiles[1].Place, tiles[2].Place };
            var fitted = await client.DecodeAsync(Seed, codes, places, Island(), fitWorld: true);
            for (int i = 0; i < fitted.Length; i++) Write("fitted-" + i, fitted[i]);
            await client.StreamDecodedAsync(Seed, codes, places, Island(), tile =>
            {
                Write("decoded-stream-" + Array.IndexOf(places, tile.Place), tile);
                return Task.CompletedTask;
            }, fitWorld: true);
        }

        async Task Painted(TerrainTile[] tiles)
        {
            var paint = new sbyte[tiles[0].Ground.Length];
            for (int i = 0; i < paint.Length; i++) paint[i] = (sbyte)(i < paint.Length / 2 ? 3 : i % 16 < 4 ? 1 : -1);
            var painted = await client.GenerateAsync(Seed, new[] { Places[0], Places[1] }, Island(), new[] { paint, new sbyte[paint.Length] });
            for (int i = 0; i < painted.Length; i++) Write("painted-" + i, painted[i]);
            var neighbours = new[] { new TerrainNeighbour(-1, 0, tiles[1]) };
            Write("extended-painted-0", await client.ExtendAsync(7, new TilePlace(4, 2), neighbours, Island(), paint));
            var all = new bool[paint.Length];
            for (int i = 0; i < all.Length; i++) all[i] = true;
            Write("edited-painted-0", await client.EditAsync(tiles[0], all, 5, Island(), neighbours: null, paintedGround: paint));
        }

        async Task Climates()
        {
            foreach (bool ignores in new[] { false, true })
            {
                var settings = new SceneSettings { Model = "coast", IgnoresClimate = ignores };
                var tiles = await client.GenerateAsync(Seed, Places, settings);
                for (int i = 0; i < tiles.Length; i++) Write((ignores ? "without-climate-" : "climate-") + i, tiles[i]);
            }
        }

        async Task Errors(TerrainTile tile)
        {
            await Fails("unknown biome", () => client.GenerateAsync(1, Places, new SceneSettings { Model = "island", Biome = "moon" }));
            await Fails("far away", () => client.GenerateAsync(1, new[] { new TilePlace(int.MaxValue, 0) }, Island()));
            await Fails("empty mask", () => client.EditAsync(tile, new bool[tile.Ground.Length], 1, Island()));
            var bare = new[] { new TerrainNeighbour(1, 0) };
            var all = new bool[tile.Ground.Length];
            for (int i = 0; i < all.Length; i++) all[i] = true;
            await Fails("a bare neighbour", () => client.EditAsync(tile, all, 1, Island(), bare));
            await Fails("no neighbours", () => client.ExtendAsync(1, Places[0], new TerrainNeighbour[0], Island()));
            await Fails("no square", () => client.EncodeAsync(new float[290], Island()));
            await Fails("codes of two sizes", () => client.DecodeAsync(1, new[] { new ushort[12], new ushort[20] }, Places, Island()));
            await Fails("paint of two sizes", () => client.GenerateAsync(1, Places, Island(), new[] { new sbyte[256], new sbyte[9] }));
            await Fails("unknown paint", () => client.ExtendAsync(1, Places[0], bare, Island(), new sbyte[256].Select(one => (sbyte)9).ToArray()));
            await Fails("ground of another size", () => client.EncodeAsync(tile.Heights, Island(), new byte[tile.Heights.Length]));
            await Fails("cells of another size", () => client.EncodeAsync(tile.Heights, Island(), metresPerCell: 3));
            await Fails("callback throws", () => client.StreamAsync(1, Places, Island(), one => throw new FormatException("mine")));
        }

        async Task Fails(string name, Func<Task> call)
        {
            try
            {
                await call();
                report(name, "nothing");
            }
            catch (RpcException error)
            {
                report(name, error.Status + "|" + error.Field);
            }
            catch (Exception error)
            {
                report(name, error.GetType().Name + "|" + error.Message);
            }
        }

        void Write(string name, TerrainTile tile)
        {
            var numbers = new List<float>(tile.Heights);
            foreach (byte kind in tile.Ground) numbers.Add(kind);
            foreach (byte kind in tile.ObjectClasses) numbers.Add(kind);
            foreach (ushort code in tile.Codes) numbers.Add(code);
            foreach (var thing in tile.Objects)
            {
                numbers.AddRange(new[] { thing.Class, thing.X, thing.Y, thing.Z, thing.Yaw, thing.Scale });
            }
            var bytes = new byte[sizeof(float) * numbers.Count];
            Buffer.BlockCopy(numbers.ToArray(), 0, bytes, 0, bytes.Length);
            File.WriteAllBytes(Path.Combine(folder, name + ".f32"), bytes);
            report(name, tile.Place + " " + tile.Vertices + " " + tile.Cells + " " + tile.Side + " " + tile.Objects.Length + " " + tile.Model.Name);
        }

        // A tile that the world makes before those around it, and one that it makes after all of them.
        async Task Weights()
        {
            var around = new List<TilePlace>();
            for (int i = 0; i < 9; i++) around.Add(new TilePlace(i % 3 - 1, i / 3));
            var tiles = await client.GenerateAsync(Seed, around, Island());
            WriteWeights("weights-first", tiles[2].SplatWeights(4));
            WriteWeights("weights-last", tiles[4].SplatWeights(4, tiles));
        }

        void WriteWeights(string name, float[,,] weights)
        {
            var bytes = new byte[sizeof(float) * weights.Length];
            Buffer.BlockCopy(weights, 0, bytes, 0, bytes.Length);
            File.WriteAllBytes(Path.Combine(folder, name + ".f32"), bytes);
        }
    }
}
