using System;
using System.Collections.Generic;
using System.Linq;
using Metabridge.V1;

namespace Metabridge
{
    /// <summary>The rows of one observation: what the agents so far gave, and what the next one gives.</summary>
    abstract class NpcRows
    {
        int[] shape;

        protected int[] NextShape;

        internal abstract void ForgetNext();

        internal abstract void Clear();

        internal abstract Tensor ToTensor(int agents);

        protected abstract void Append();

        internal void Take()
        {
            shape = NextShape;
            Append();
            ForgetNext();
        }

        internal void Check(ulong id, string name, int agentsBefore)
        {
            int[] wanted = agentsBefore == 0 ? NextShape : shape;
            if (NextShape != null && wanted != null && NextShape.SequenceEqual(wanted)) return;
            string message = "agent " + id + " gave " + Numbers(NextShape) + " for \"" + name + "\", expected " +
                (wanted == null ? "numbers" : Numbers(wanted) + ", as the agents before it");
            throw new ArgumentException(message);
        }

        protected long[] Shape(int agents)
        {
            return new[] { (long)agents }.Concat((shape ?? new int[0]).Select(size => (long)size)).ToArray();
        }

        static string Numbers(int[] shape)
        {
            if (shape == null) return "nothing";
            return (shape.Length == 0 ? "1" : string.Join(" x ", shape)) + " numbers";
        }
    }

    /// <summary>The rows of an observation of one type.</summary>
    sealed class NpcRows<T> : NpcRows
    {
        readonly Func<T[], long[], Tensor> write;
        readonly List<T> values = new List<T>();
        T[] next;

        internal NpcRows(Func<T[], long[], Tensor> write)
        {
            this.write = write;
        }

        internal void Write(T[] numbers, params int[] shape)
        {
            int count = shape.Aggregate(1, (product, size) => checked(product * size));
            if (numbers.Length != count)
            {
                string message = numbers.Length + " values for an observation of shape [" + string.Join(", ", shape) + "]";
                throw new ArgumentException(message);
            }
            next = numbers;
            NextShape = shape;
        }

        internal override void ForgetNext()
        {
            next = null;
            NextShape = null;
        }

        internal override void Clear()
        {
            values.Clear();
        }

        internal override Tensor ToTensor(int agents)
        {
            return write(values.ToArray(), Shape(agents));
        }

        protected override void Append()
        {
            values.AddRange(next);
        }
    }
}
