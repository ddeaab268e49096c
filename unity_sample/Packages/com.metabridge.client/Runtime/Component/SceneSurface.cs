namespace Metabridge
{
    /// <summary>What the ground of a tile becomes.</summary>
    public enum SceneSurface
    {
        /// <summary>A mesh, with the very heights of the answer.</summary>
        Mesh,

        /// <summary>A Unity terrain, with heights in 32,767 or more steps between the builder's lowest and highest.</summary>
        Terrain,
    }
}
