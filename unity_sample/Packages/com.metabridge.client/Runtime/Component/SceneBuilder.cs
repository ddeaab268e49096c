using System;
using System.Collections.Generic;
using System.Threading.Tasks;
using Metabridge.Internal;
using Metabridge.Transport;
using Metabridge.V1;
using UnityEngine;

namespace Metabridge
{
    /// <summary>
    /// Builds an endless world around a viewer: a game object a tile, with a mesh and its objects. It streams the missing tiles in the
    /// order in which they come into view, those ahead of a viewer that moves too, builds one a frame, and removes those that are far
    /// behind. While the sidecar cannot be reached it keeps what is there and tries again.
    /// </summary>
    [AddComponentMenu("Metabridge/Scene Builder")]
    public sealed class SceneBuilder : MonoBehaviour
    {
        const int TilesPerStream = 512;

        [SerializeField] string address = "http://127.0.0.1:50052";
        [SerializeField] string model = "terrain";
        [SerializeField] long seed = 0;
        [SerializeField] string biome = "";
        [SerializeField] Transform viewer;
        [SerializeField, Range(0, 16)] int viewTiles = 1;
        [SerializeField, Range(0f, 10f)] float aheadSeconds = 2f;
        [SerializeField] SceneSurface surface = SceneSurface.Mesh;
        [SerializeField] int vertices = 0;
        [SerializeField] float lowest = -64f;
        [SerializeField] float highest = 192f;
        [SerializeField] Material material;
        [SerializeField] Color32[] groundColours = new Color32[0];
        [SerializeField] Texture2D[] groundTextures = new Texture2D[0];
        [SerializeField] float textureMetres = 8f;
        [SerializeField] GameObject[] prefabs = new GameObject[0];
        [SerializeField] bool hasColliders = true;
        [SerializeField] float timeoutSeconds = 30f;

        readonly SidecarLink link = new SidecarLink();
        readonly Dictionary<TilePlace, TerrainPiece> built = new Dictionary<TilePlace, TerrainPiece>();
        readonly TileView view = new TileView();
        TileStream stream;
        TilePlace streamMiddle;
        float lastTile;
        GroundLayers layers;

        /// <summary>A tile was built; the game object is its root, at the tile's origin.</summary>
        public event Action<TerrainTile, GameObject> Built;

        /// <summary>A call failed; it is made again after a pause.</summary>
        public event Action<Exception> Failed { add => link.Failed += value; remove => link.Failed -= value; }

        /// <summary>The first call after failed ones succeeded.</summary>
        public event Action Recovered { add => link.Recovered += value; remove => link.Recovered -= value; }

        /// <summary>Address of the sidecar's web port.</summary>
        public string Address { get => address; set { address = value; Restart(); } }

        /// <summary>Name of the scene model.</summary>
        public string Model { get => model; set { model = value; Clear(); } }

        /// <summary>The seed of the world; a negative number stands for the unsigned one with the same bits.</summary>
        public long Seed { get => seed; set { seed = value; Clear(); } }

        /// <summary>Name of one of the model's biomes; empty leaves it to the climate of the seed.</summary>
        public string Biome { get => biome; set { biome = value; Clear(); } }

        /// <summary>Around whom the world is built; null is this object.</summary>
        public Transform Viewer { get => viewer; set => viewer = value; }

        /// <summary>How many tiles are built to each side of the one that the viewer is over.</summary>
        public int ViewTiles { get => viewTiles; set => viewTiles = Mathf.Max(0, value); }

        /// <summary>How far ahead of a viewer that moves tiles are asked for; 0 looks at where it is alone.</summary>
        public float AheadSeconds { get => aheadSeconds; set => aheadSeconds = Mathf.Max(0f, value); }

        /// <summary>Longest wait for a tile in seconds; then the call is given up, and made again after a pause.</summary>
        public float TimeoutSeconds { get => timeoutSeconds; set => timeoutSeconds = value; }

        /// <summary>What the ground becomes.</summary>
        public SceneSurface Surface { get => surface; set { surface = value; Clear(); } }

        /// <summary>Heights along a tile's side; 0 is the model's own number. A terrain takes 2^n + 1, 33 at the least.</summary>
        public int Vertices { get => vertices; set { vertices = value; Clear(); } }

        /// <summary>The lowest height of a terrain in metres; what lies below is raised to it.</summary>
        public float Lowest { get => lowest; set { lowest = value; Clear(); } }

        /// <summary>The highest height of a terrain in metres; what lies above is cut off.</summary>
        public float Highest { get => highest; set { highest = value; Clear(); } }

        /// <summary>Material of a mesh; null is a new one of the standard shader where there is one.</summary>
        public Material Material { get => material; set => material = value; }

        /// <summary>
        /// Colours by ground class: a mesh is drawn with a texture of them, a terrain with a layer of each where it has no texture.
        /// Empty leaves the material, or the terrain, as it is.
        /// </summary>
        public Color32[] GroundColours { get => groundColours; set { groundColours = value; Clear(); } }

        /// <summary>Textures by ground class, which terrains blend cell by cell; a class without one shows its colour.</summary>
        public Texture2D[] GroundTextures { get => groundTextures; set { groundTextures = value; Clear(); } }

        /// <summary>Length in metres of the side of the square that a ground texture covers.</summary>
        public float TextureMetres { get => textureMetres; set { textureMetres = value; Clear(); } }

        /// <summary>What stands for each object class, by its number; a missing one is left out.</summary>
        public GameObject[] Prefabs { get => prefabs; set => prefabs = value; }

        /// <summary>Number of tiles that stand.</summary>
        public int TileCount => built.Count;

        /// <summary>Length of a tile's side in metres; 0 before the first answer.</summary>
        public float TileSide { get; private set; }

        public SidecarStatus Status => link.Status;

        /// <summary>Why the last call failed; null after one that succeeded.</summary>
        public Exception LastError => link.LastError;

        /// <summary>Returns the root of a tile that stands, else null.</summary>
        public GameObject Tile(TilePlace place)
        {
            return built.TryGetValue(place, out var piece) ? piece.Root : null;
        }

        /// <summary>Calls over a transport of the caller's in place of gRPC-Web; the caller disposes of it.</summary>
        public void Use(ITransport transport)
        {
            Stop();
            link.Use(transport);
        }

        /// <summary>Removes all tiles; those in view are made anew.</summary>
        public void Clear()
        {
            Stop();
            foreach (var piece in built.Values) piece.Destroy();
            built.Clear();
            if (layers != null) layers.Destroy();
            layers = null;
            TileSide = 0f;
        }

        void OnDisable()
        {
            Restart();
        }

        void OnDestroy()
        {
            Clear();
        }

        void Update()
        {
            Look();
            RemoveFar();
            if (stream != null) Go();
            if (stream == null && link.IsReady) Begin();
        }

        void Restart()
        {
            Stop();
            link.Release();
        }

        void Stop()
        {
            stream?.Stop();
            stream = null;
        }

        void Look()
        {
            var position = viewer == null ? Vector3.zero : transform.InverseTransformPoint(viewer.position);
            view.Look(position, TileSide, aheadSeconds, viewTiles + 1);
        }

        // The first stream has one tile, the one below the viewer, which tells how long a tile is.
        void Begin()
        {
            var settings = new SceneSettings { Model = model, Biome = biome, Vertices = vertices, ReturnsObjects = prefabs.Length > 0 };
            ulong world = unchecked((ulong)seed);
            if (TileSide <= 0f)
            {
                var here = new[] { new MapPoint { X = view.Position.x, Y = view.Position.z } };
                Begin((client, add, options) => client.StreamAlongAsync(world, here, 0f, settings, add, options));
                return;
            }
            var missing = view.Missing(viewTiles, built.ContainsKey, TilesPerStream);
            if (missing.Count == 0) return;
            Begin((client, add, options) => client.StreamAsync(world, missing, settings, add, options));
        }

        void Begin(Func<SceneClient, Func<TerrainTile, Task>, CallOptions, Task> call)
        {
            var client = new SceneClient(link.Transport(address));
            stream = new TileStream((add, cancellation) => call(client, add, new CallOptions(null, cancellation)));
            streamMiddle = view.Middle;
            lastTile = Time.realtimeSinceStartup;
        }

        // Over another tile other ones are missing: what this stream would still bring is asked for again with them.
        void Go()
        {
            var tile = stream.Take();
            if (tile != null)
            {
                lastTile = Time.realtimeSinceStartup;
                if (link.Status != SidecarStatus.Connected) link.Succeed();
                Build(tile);
            }
            else if (stream.IsEnded) End(stream.Error);
            else if (Time.realtimeSinceStartup - lastTile > timeoutSeconds) End(new TimeoutException("no tile came for " + timeoutSeconds + " s"));
            else if (TileSide > 0f && !view.Middle.Equals(streamMiddle)) Stop();
        }

        void End(Exception error)
        {
            Stop();
            if (error != null) link.Fail(error);
        }

        void Build(TerrainTile tile)
        {
            TileSide = tile.Side;
            if (built.ContainsKey(tile.Place)) return;
            var root = new GameObject("Tile " + tile.Place);
            root.transform.SetParent(transform, false);
            root.transform.localPosition = new Vector3(tile.Place.X * tile.Side, 0f, tile.Place.Y * tile.Side);
            var piece = surface == SceneSurface.Mesh ? MeshPiece(tile, root) : LandPiece(tile, root);
            foreach (var thing in tile.Objects) Place(thing, root.transform);
            built.Add(tile.Place, piece);
            TerrainPiece.Join(tile.Place, built);
            layers?.Cover(tile.Place, built);
            Built?.Invoke(tile, root);
        }

        TerrainPiece MeshPiece(TerrainTile tile, GameObject root)
        {
            var piece = new TerrainPiece(tile, root);
            root.AddComponent<MeshFilter>().sharedMesh = piece.Mesh;
            piece.Texture = Dress(root.AddComponent<MeshRenderer>(), tile);
            if (hasColliders) root.AddComponent<MeshCollider>().sharedMesh = piece.Mesh;
            return piece;
        }

        TerrainPiece LandPiece(TerrainTile tile, GameObject root)
        {
            var data = new TerrainData();
            tile.CopyTo(data, lowest, highest);
            if (groundTextures.Length > 0 || groundColours.Length > 0)
            {
                layers = layers ?? new GroundLayers(groundTextures, groundColours, textureMetres);
                layers.Lay(tile, data);
            }
            var ground = Terrain.CreateTerrainGameObject(data);
            ground.transform.SetParent(root.transform, false);
            ground.transform.localPosition = new Vector3(0f, lowest, 0f);
            ground.GetComponent<TerrainCollider>().enabled = hasColliders;
            return new TerrainPiece(tile, root, ground.GetComponent<Terrain>());
        }

        // Returns the texture that was made for the tile, or null.
        Texture2D Dress(MeshRenderer shown, TerrainTile tile)
        {
            if (material == null)
            {
                var shader = Shader.Find("Standard");
                if (shader != null) material = new Material(shader);
            }
            if (material != null) shown.sharedMaterial = material;
            if (groundColours.Length == 0) return null;
            var texture = tile.ToTexture(groundColours);
            var properties = new MaterialPropertyBlock();
            properties.SetTexture("_MainTex", texture);
            shown.SetPropertyBlock(properties);
            return texture;
        }

        void Place(TerrainObject thing, Transform root)
        {
            var prefab = thing.Class < prefabs.Length ? prefabs[thing.Class] : null;
            if (prefab == null) return;
            var placed = Instantiate(prefab, root, false);
            placed.transform.localPosition = new Vector3(thing.X, thing.Y, thing.Z);
            placed.transform.localRotation = Quaternion.Euler(0f, thing.Yaw * Mathf.Rad2Deg, 0f);
            placed.transform.localScale = thing.Scale * prefab.transform.localScale;
        }

        void RemoveFar()
        {
            List<TilePlace> far = null;
            foreach (var place in built.Keys)
            {
                if (!view.IsFar(place, viewTiles + 1)) continue;
                far = far ?? new List<TilePlace>();
                far.Add(place);
            }
            if (far == null) return;
            foreach (var place in far)
            {
                built[place].Destroy();
                built.Remove(place);
            }
        }
    }
}
