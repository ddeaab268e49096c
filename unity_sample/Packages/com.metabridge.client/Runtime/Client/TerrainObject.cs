namespace Metabridge
{
    /// <summary>An object on a tile: its class, its foot from the tile's origin, its turn about the up axis in radians, its scale.</summary>
    public readonly struct TerrainObject
    {
        /// <summary>Index into the model's object classes; never 0, which is nothing.</summary>
        public readonly int Class;
        public readonly float X;
        public readonly float Y;
        public readonly float Z;
        public readonly float Yaw;
        public readonly float Scale;

        internal TerrainObject(int kind, float x, float y, float z, float yaw, float scale)
        {
            Class = kind;
            X = x;
            Y = y;
            Z = z;
            Yaw = yaw;
            Scale = scale;
        }
    }
}
