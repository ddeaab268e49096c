using System;
using System.Collections.Generic;
using Metabridge.Internal;
using Metabridge.V1;

namespace Metabridge
{
    /// <summary>What all rows observe and get in one tick. Observations of a row stay until it observes again.</summary>
    public sealed class EnvironmentFrame
    {
        readonly TensorRows[] parts;
        readonly string[] names;
        readonly TensorRows mask;
        readonly float[] rewards;
        readonly bool[] terminated;
        readonly bool[] truncated;
        readonly SortedDictionary<int, byte[][]> finals = new SortedDictionary<int, byte[][]>();
        readonly SortedDictionary<string, float[]> infos = new SortedDictionary<string, float[]>(StringComparer.Ordinal);

        public int Rows { get; }

        internal EnvironmentFrame(EnvironmentSpec spec)
        {
            Rows = EnvironmentSpaces.Rows(spec);
            parts = new TensorRows[spec.Observations.Count];
            names = new string[parts.Length];
            for (int i = 0; i < parts.Length; i++)
            {
                var space = spec.Observations[i];
                names[i] = space.Name.Length == 0 ? "observation" : space.Name;
                parts[i] = new TensorRows(names[i], TypeOf(space), Shape(space), Rows);
            }
            if (spec.MaskWidth > 0) mask = new TensorRows("the action mask", DataType.Bool, new[] { (long)spec.MaskWidth }, Rows);
            rewards = new float[Rows];
            terminated = new bool[Rows];
            truncated = new bool[Rows];
        }

        /// <summary>Writes the numbers that a row observes where there is only one part.</summary>
        public void Observe(int row, params float[] values)
        {
            Part("observation").Write(row, values, DataType.Float32);
        }

        /// <summary>Writes the numbers of one part, row-major.</summary>
        public void Observe(int row, string name, params float[] values)
        {
            Part(name).Write(row, values, DataType.Float32);
        }

        /// <summary>Writes a picture, row by row, channels last.</summary>
        public void ObservePicture(int row, string name, byte[] pixels)
        {
            Part(name).Write(row, pixels, DataType.Uint8);
        }

        /// <summary>Writes one choice or several, each counted from 0.</summary>
        public void ObserveCategories(int row, string name, params long[] values)
        {
            Part(name).Write(row, values, DataType.Int64);
        }

        /// <summary>Writes bits, each 0 or 1.</summary>
        public void ObserveBits(int row, string name, params sbyte[] values)
        {
            Part(name).Write(row, values, DataType.Int8);
        }

        /// <summary>Says what a row may do now, the choices of all discrete actions one after another.</summary>
        public void Allow(int row, params bool[] actions)
        {
            if (mask == null) throw new InvalidOperationException("the environment offers no mask; give its offer a maskWidth");
            mask.Write(row, actions, DataType.Bool);
        }

        /// <summary>Adds to a row's reward of this tick.</summary>
        public void Reward(int row, float reward)
        {
            rewards[row] += reward;
        }

        /// <summary>
        /// Ends a row's episode: by the rules of the task, or cut short. What the row observed last is the episode's last
        /// observation; what it observes next is the first one of the next episode.
        /// </summary>
        public void End(int row, bool isTerminated)
        {
            terminated[row] = isTerminated;
            truncated[row] = !isTerminated;
            var last = new byte[parts.Length][];
            for (int i = 0; i < last.Length; i++) last[i] = parts[i].Row(row);
            finals[row] = last;
        }

        /// <summary>Gives a number for curves and people, such as whether the episode was a success.</summary>
        public void Inform(int row, string name, float value)
        {
            if (!infos.TryGetValue(name, out float[] values)) infos.Add(name, values = new float[Rows]);
            values[row] = value;
        }

        internal void Clear()
        {
            Array.Clear(rewards, 0, Rows);
            Array.Clear(terminated, 0, Rows);
            Array.Clear(truncated, 0, Rows);
            finals.Clear();
            infos.Clear();
        }

        internal EnvironmentReport ToReport(ulong sequence, bool isStep)
        {
            var report = new EnvironmentReport { Kind = ReportKind.Done, Sequence = sequence };
            for (int i = 0; i < parts.Length; i++) report.Observations.Add(Named(names[i], parts[i].ToTensor()));
            if (mask != null) report.ActionMask = mask.ToTensor();
            foreach (var info in infos) report.Infos.Add(Named(info.Key, Tensors.FromFloats(info.Value, Rows)));
            if (!isStep) return report;
            report.Rewards.AddRange(rewards);
            report.Terminated.AddRange(terminated);
            report.Truncated.AddRange(truncated);
            if (finals.Count > 0) AddFinals(report);
            return report;
        }

        void AddFinals(EnvironmentReport report)
        {
            for (int i = 0; i < parts.Length; i++)
            {
                var ends = new List<byte[]>();
                foreach (var last in finals.Values) ends.Add(last[i]);
                report.FinalObservations.Add(Named(names[i], parts[i].ToTensor(ends)));
            }
        }

        TensorRows Part(string name)
        {
            int index = Array.IndexOf(names, name);
            if (index >= 0) return parts[index];
            throw new ArgumentException("no observation \"" + name + "\", the offer has [" + string.Join(", ", names) + "]");
        }

        static NamedTensor Named(string name, Tensor tensor)
        {
            return new NamedTensor { Name = name, Tensor = tensor };
        }

        static DataType TypeOf(SpaceSpec space)
        {
            if (space.Kind == SpaceKind.MultiBinary) return DataType.Int8;
            if (space.Kind != SpaceKind.Box) return DataType.Int64;
            return space.Dtype == DataType.Unspecified ? DataType.Float32 : space.Dtype;
        }

        static long[] Shape(SpaceSpec space)
        {
            var shape = new long[space.Shape.Count];
            space.Shape.CopyTo(shape, 0);
            bool isImplied = space.Kind == SpaceKind.MultiDiscrete && shape.Length == 0;
            return isImplied ? new[] { (long)space.Choices.Count } : shape;
        }
    }
}
