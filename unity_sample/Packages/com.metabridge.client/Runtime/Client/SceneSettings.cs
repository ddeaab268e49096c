using Metabridge.V1;

namespace Metabridge
{
    /// <summary>What a world is to be like and what its tiles come with. Tiles fit each other under equal conditions alone.</summary>
    public sealed class SceneSettings
    {
        /// <summary>Name of the model; required.</summary>
        public string Model { get; set; } = "";

        /// <summary>Version of the model; 0 is the latest.</summary>
        public int Version { get; set; }

        /// <summary>Name of one of the model's biomes; empty leaves it to the climate of the seed.</summary>
        public string Biome { get; set; } = "";

        /// <summary>How rugged the ground is, within the model's range; null leaves it to the climate.</summary>
        public float? Ruggedness { get; set; }

        /// <summary>Share of the cells that are water, within the model's range; null leaves it to the climate.</summary>
        public float? WaterShare { get; set; }

        /// <summary>Whether what is not set is left to the model and the neighbours alone, to go on with ground from outside.</summary>
        public bool IgnoresClimate { get; set; }

        /// <summary>How often a tile is refined; 0 is the model's default. Fewer are faster and coarser.</summary>
        public int Steps { get; set; }

        /// <summary>Space of places, grids and objects.</summary>
        public CoordinateSpace Space { get; set; } = CoordinateSpace.Unity;

        /// <summary>Heights along a tile's side; 0 is the model's own number, 2^n + 1.</summary>
        public int Vertices { get; set; }

        /// <summary>Whether tiles come with their objects as instances.</summary>
        public bool ReturnsObjects { get; set; } = true;

        internal ModelSelector Selector()
        {
            return ModelClient.Selector(Model, Version);
        }

        internal SceneConditions Conditions()
        {
            var conditions = new SceneConditions { Biome = Biome, Steps = checked((uint)Steps), IgnoreClimate = IgnoresClimate };
            if (Ruggedness.HasValue) conditions.Ruggedness = new Amount { Value = Ruggedness.Value };
            if (WaterShare.HasValue) conditions.WaterShare = new Amount { Value = WaterShare.Value };
            return conditions;
        }

        internal SceneOutput Output()
        {
            return new SceneOutput
            {
                Space = Space,
                HeightVertices = checked((uint)Vertices),
                ReturnInstances = ReturnsObjects,
            };
        }
    }
}
