using System;
using System.Collections.Generic;
using Metabridge.V1;

namespace Metabridge.Internal
{
    /// <summary>A tensor whose first axis is rows, which are written one by one.</summary>
    sealed class TensorRows
    {
        readonly string name;
        readonly DataType dtype;
        readonly long[] rowShape;
        readonly int rows;
        readonly int count;
        readonly byte[] data;

        int RowBytes => data.Length / rows;

        internal TensorRows(string name, DataType dtype, long[] rowShape, int rows)
        {
            this.name = name;
            this.dtype = dtype;
            this.rowShape = rowShape;
            this.rows = rows;
            count = Tensors.Count(rowShape);
            data = new byte[checked(rows * count * Tensors.ElementSize(dtype))];
        }

        /// <summary>Writes a row; ArgumentException for another type or number of values.</summary>
        internal void Write(int row, Array values, DataType given)
        {
            if (row < 0 || row >= rows)
            {
                throw new ArgumentException("row " + row + " of \"" + name + "\" is none of " + rows + ", counted from 0");
            }
            if (given != dtype || values.Length != count)
            {
                string message = values.Length + " values of " + given + " for \"" + name + "\", expected " + count + " of " + dtype;
                throw new ArgumentException(message);
            }
            Buffer.BlockCopy(values, 0, data, row * RowBytes, RowBytes);
        }

        /// <summary>Returns a copy of a row's bytes.</summary>
        internal byte[] Row(int row)
        {
            var bytes = new byte[RowBytes];
            Buffer.BlockCopy(data, row * RowBytes, bytes, 0, bytes.Length);
            return bytes;
        }

        /// <summary>Returns all rows as a tensor.</summary>
        internal Tensor ToTensor()
        {
            return Tensors.FromRows(data, dtype, rows, rowShape);
        }

        /// <summary>Returns rows that <see cref="Row"/> gave as a tensor.</summary>
        internal Tensor ToTensor(IReadOnlyList<byte[]> chosen)
        {
            var bytes = new byte[chosen.Count * RowBytes];
            for (int i = 0; i < chosen.Count; i++) Buffer.BlockCopy(chosen[i], 0, bytes, i * RowBytes, RowBytes);
            return Tensors.FromRows(bytes, dtype, chosen.Count, rowShape);
        }
    }
}
