using System;

namespace Metabridge.Sample
{
    /// <summary>A place or a way on the ground, in metres of glTF's space: right-handed, +Y up, +Z forward.</summary>
    public readonly struct Xz
    {
        public readonly double X;
        public readonly double Z;

        public Xz(double x, double z)
        {
            X = x;
            Z = z;
        }

        public double Length => Math.Sqrt(X * X + Z * Z);

        /// <summary>The unit vector that a heading looks along: 0 is +Z, a quarter turn is +X.</summary>
        public static Xz Forward(double heading)
        {
            return new Xz(Math.Sin(heading), Math.Cos(heading));
        }

        /// <summary>The part to the left of a heading.</summary>
        public double Left(double heading)
        {
            return X * Math.Cos(heading) - Z * Math.Sin(heading);
        }

        /// <summary>The part along a heading.</summary>
        public double Ahead(double heading)
        {
            return X * Math.Sin(heading) + Z * Math.Cos(heading);
        }

        /// <summary>The place within the square |x|, |z| of at most <paramref name="limit"/> that is nearest.</summary>
        public Xz Within(double limit)
        {
            return new Xz(Math.Min(Math.Max(X, -limit), limit), Math.Min(Math.Max(Z, -limit), limit));
        }

        public static Xz operator +(Xz a, Xz b)
        {
            return new Xz(a.X + b.X, a.Z + b.Z);
        }

        public static Xz operator -(Xz a, Xz b)
        {
            return new Xz(a.X - b.X, a.Z - b.Z);
        }

        public static Xz operator *(double factor, Xz a)
        {
            return new Xz(factor * a.X, factor * a.Z);
        }
    }
}
