using System;
using System.Collections;
using System.Collections.Generic;
using System.IO;
using Metabridge.Transport;
using UnityEngine;

namespace Metabridge.Headless
{
    /// <summary>Plays the scene builder: a world around a viewer that moves, its meshes, its objects, and a stop of the sidecar's.</summary>
    sealed class ScenePlay
    {
        readonly Scenario scenario;
        readonly Action<string, string> report;
        readonly Dictionary<string, TerrainTile> answers = new Dictionary<string, TerrainTile>();
        readonly Texture2D grass = new Texture2D(8, 8);

        internal ScenePlay(Scenario scenario, Action<string, string> report)
        {
            this.scenario = scenario;
            this.report = report;
        }

        internal IEnumerator Run()
        {
            var builder = new GameObject("World").AddComponent<SceneBuilder>();
            var viewer = new GameObject("Viewer").transform;
            var tree = GameObject.CreatePrimitive(PrimitiveType.Capsule);
            builder.Address = scenario.web;
            builder.Model = "island";
            builder.Seed = 5;
            builder.Viewer = viewer;
            builder.ViewTiles = 1;
            builder.Prefabs = new[] { null, tree, tree };
            builder.GroundColours = new[]
            {
                new Color32(70, 120, 180, 255), new Color32(222, 205, 150, 255), new Color32(90, 140, 60, 255),
            };
            builder.Built += (tile, root) => answers[tile.Place.ToString()] = tile;
            while (builder.TileCount < 9) yield return null;
            report("first", "9 tiles of " + builder.TileSide + " m " + builder.Status);
            for (int y = -1; y <= 1; y++)
            {
                for (int x = -1; x <= 1; x++) Write(builder, new TilePlace(x, y));
            }
            CountObjects(builder);
            viewer.position = new Vector3(5.5f * builder.TileSide, 0f, 0.5f * builder.TileSide);
            while (builder.Tile(new TilePlace(6, 1)) == null || builder.TileCount < 9) yield return null;
            bool isGone = builder.Tile(new TilePlace(0, 0)) == null;
            report("moved", builder.TileCount + " tiles, the first one is " + (isGone ? "gone" : "there"));
            yield return Ahead(builder);
            yield return TerrainOf();
            yield return Land(builder);
            builder.Model = "nobody";
            while (builder.LastError == null) yield return null;
            report("unknown model", builder.Status + " " + builder.TileCount + " " + builder.LastError.Message);
            UnityEngine.Object.Destroy(builder.gameObject);
            yield return null;
        }

        // A viewer goes east at half a tile a second, for less than half a tile: one stands that it does not see from there.
        IEnumerator Ahead(SceneBuilder builder)
        {
            builder.AheadSeconds = 10f;
            float side = builder.TileSide, end = 5.9f * side;
            while (builder.Viewer.position.x < end)
            {
                yield return null;
                builder.Viewer.position += Mathf.Min(0.5f * side * Time.deltaTime, end - builder.Viewer.position.x + 0.001f) * Vector3.right;
            }
            while (builder.Tile(new TilePlace(7, 0)) == null) yield return null;
            report("ahead", "stands");
        }

        // What the mesh filter holds, in world space: positions, normals, and the triangles after them.
        void Write(SceneBuilder builder, TilePlace place)
        {
            var root = builder.Tile(place);
            var mesh = root.GetComponent<MeshFilter>().sharedMesh;
            Save("mesh" + place, mesh.vertices, root.transform.position);
            Save("normals" + place, mesh.normals, Vector3.zero);
            var triangles = new byte[sizeof(int) * mesh.triangles.Length];
            Buffer.BlockCopy(mesh.triangles, 0, triangles, 0, triangles.Length);
            File.WriteAllBytes(Path.Combine(scenario.output, "triangles" + place + ".i32"), triangles);
            RaycastHit hit;
            var middle = root.transform.position + new Vector3(3.5f, 1000f, 3f);
            bool isHit = Physics.Raycast(middle, Vector3.down, out hit);
            report("hit" + place, isHit ? hit.point.y.ToString("R") : "nothing");
        }

        void Save(string name, Vector3[] vectors, Vector3 origin)
        {
            var numbers = new float[3 * vectors.Length];
            for (int i = 0; i < vectors.Length; i++)
            {
                for (int axis = 0; axis < 3; axis++) numbers[3 * i + axis] = vectors[i][axis] + origin[axis];
            }
            var bytes = new byte[sizeof(float) * numbers.Length];
            Buffer.BlockCopy(numbers, 0, bytes, 0, bytes.Length);
            File.WriteAllBytes(Path.Combine(scenario.output, name + ".f32"), bytes);
        }

        void CountObjects(SceneBuilder builder)
        {
            int given = 0, standing = 0;
            float worst = 0f;
            foreach (var tile in answers.Values)
            {
                given += tile.Objects.Length;
                var root = builder.Tile(tile.Place).transform;
                standing += root.childCount;
                for (int i = 0; i < root.childCount; i++)
                {
                    var thing = tile.Objects[i];
                    var place = root.GetChild(i).localPosition - new Vector3(thing.X, thing.Y, thing.Z);
                    var ahead = root.GetChild(i).forward - new Vector3(Mathf.Sin(thing.Yaw), 0f, Mathf.Cos(thing.Yaw));
                    worst = Mathf.Max(worst, Mathf.Max(place.magnitude, ahead.magnitude));
                }
            }
            report("objects", given > 0 && given == standing ? "all stand" : standing + " of " + given);
            report("object error", worst < 1e-3f ? "none" : worst.ToString("R"));
        }

        // A terrain takes 33 heights a side at the least, more than this model makes: they are resampled.
        IEnumerator TerrainOf()
        {
            using (var transport = new UnityWebRequestTransport(scenario.web))
            {
                var settings = new SceneSettings { Model = "island", Vertices = 33 };
                var call = new SceneClient(transport).GenerateAsync(5, new[] { new TilePlace(0, 0) }, settings);
                while (!call.IsCompleted) yield return null;
                report("terrain data", Compare(call.Result[0]));
                report("terrain data of another size", Refusal(answers[new TilePlace(0, 0).ToString()]));
            }
        }

        // The same world as terrains: edges, neighbours, and a ray on the ground.
        IEnumerator Land(SceneBuilder builder)
        {
            builder.Prefabs = new GameObject[0];
            builder.GroundTextures = new[] { grass };
            builder.Vertices = 33;
            builder.Lowest = -10f;
            builder.Highest = 40f;
            builder.Surface = SceneSurface.Terrain;
            builder.Viewer.position = Vector3.zero;
            while (builder.TileCount < 9) yield return null;
            var left = builder.Tile(new TilePlace(0, 0)).GetComponentInChildren<Terrain>().terrainData;
            var right = builder.Tile(new TilePlace(1, 0)).GetComponentInChildren<Terrain>().terrainData;
            bool fits = true;
            for (int row = 0; row < 33; row++) fits &= left.GetHeight(32, row) == right.GetHeight(0, row);
            report("terrain edges", fits ? "equal" : "different");
            RaycastHit hit;
            float x = 3f * builder.TileSide / 32f, z = 5f * builder.TileSide / 32f;
            bool isHit = Physics.Raycast(new Vector3(x, 1000f, z), Vector3.down, out hit);
            bool isGround = isHit && Mathf.Abs(hit.point.y - (left.GetHeight(3, 5) - 10f)) < 0.05f;
            report("terrain hit", isGround ? "on the ground" : isHit ? hit.point.ToString() : "nothing");
            report("terrain ground", Covered(left, answers[new TilePlace(0, 0).ToString()]));
        }

        // The layers of a terrain and how they are blended, across its borders too: GroundColours has three, the first of which has a
        // texture of its own.
        string Covered(TerrainData data, TerrainTile tile)
        {
            float worst = Farthest(data, tile.SplatWeights(3, answers.Values)), alone = Farthest(data, tile.SplatWeights(3));
            var own = data.splatPrototypes[0].texture == grass;
            var plain = (Color32)data.splatPrototypes[1].texture.GetPixel(1, 1);
            string blend = worst < 0.005f && alone > 0.05f ? "blended across borders" : worst + " and " + alone;
            return data.alphamapLayers + " layers, " + blend + ", " + (own ? "own texture, " : "another texture, ") + plain;
        }

        static float Farthest(TerrainData data, float[,,] expected)
        {
            var found = data.GetAlphamaps(0, 0, data.alphamapWidth, data.alphamapHeight);
            if (found.Length != expected.Length) return float.PositiveInfinity;
            float worst = 0f;
            for (int row = 0; row < expected.GetLength(0); row++)
            {
                for (int column = 0; column < expected.GetLength(1); column++)
                {
                    for (int i = 0; i < expected.GetLength(2); i++)
                    {
                        worst = Mathf.Max(worst, Mathf.Abs(found[row, column, i] - expected[row, column, i]));
                    }
                }
            }
            return worst;
        }

        static string Compare(TerrainTile tile)
        {
            var data = new TerrainData();
            tile.CopyTo(data, -10f, 40f);
            float worst = 0f;
            for (int i = 0; i < tile.Heights.Length; i++)
            {
                float height = data.GetHeight(i % tile.Vertices, i / tile.Vertices) - 10f;
                worst = Mathf.Max(worst, Mathf.Abs(height - tile.Heights[i]));
            }
            return data.heightmapResolution + " " + data.size + " " + (worst < 0.005f ? "fits" : worst.ToString("R"));
        }

        static string Refusal(TerrainTile tile)
        {
            try
            {
                tile.CopyTo(new TerrainData(), -10f, 40f);
                return "nothing";
            }
            catch (ArgumentException error)
            {
                return error.Message;
            }
        }
    }
}
