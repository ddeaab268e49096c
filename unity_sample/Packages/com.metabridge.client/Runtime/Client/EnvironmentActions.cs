using System;
using System.Collections.Generic;
using Metabridge.Internal;
using Metabridge.V1;

namespace Metabridge
{
    /// <summary>The actions of all rows in one tick, by the names of the offer: "action" where there is only one part.</summary>
    public sealed class EnvironmentActions
    {
        readonly Dictionary<string, float[]> continuous = new Dictionary<string, float[]>();
        readonly Dictionary<string, long[]> discrete = new Dictionary<string, long[]>();

        public int Rows { get; }

        internal EnvironmentActions(EnvironmentCommand command, int rows)
        {
            Rows = rows;
            foreach (var named in command.Actions)
            {
                if (named.Tensor.Dtype == DataType.Float32) continuous[named.Name] = Tensors.ToFloats(named.Tensor, named.Name);
                else if (named.Tensor.Dtype == DataType.Int64) discrete[named.Name] = Tensors.ToLongs(named.Tensor, named.Name);
                else discrete[named.Name] = Array.ConvertAll(Tensors.ToSBytes(named.Tensor, named.Name), bit => (long)bit);
            }
        }

        /// <summary>Returns one number of a row's action; ArgumentException for a part that is none of numbers.</summary>
        public float Continuous(int row, int element = 0, string name = "action")
        {
            return Element(continuous, "continuous", row, element, name);
        }

        /// <summary>Returns one choice or bit of a row's action; ArgumentException for a part that is none of choices.</summary>
        public int Discrete(int row, int branch = 0, string name = "action")
        {
            return (int)Element(discrete, "discrete", row, branch, name);
        }

        T Element<T>(Dictionary<string, T[]> actions, string kind, int row, int element, string name)
        {
            if (!actions.TryGetValue(name, out T[] values))
            {
                string known = string.Join(", ", actions.Keys);
                throw new ArgumentException("no " + kind + " action \"" + name + "\", there are [" + known + "]");
            }
            int width = values.Length / Rows;
            if (row < 0 || row >= Rows || element < 0 || element >= width)
            {
                string message = "action \"" + name + "\" has " + Rows + " rows of " + width + ", not element " + element + " of row " + row;
                throw new ArgumentException(message);
            }
            return values[row * width + element];
        }
    }
}
