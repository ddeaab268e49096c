using System;
using System.Collections.Generic;
using Google.Protobuf;
using Metabridge.V1;

namespace Metabridge.Internal
{
    /// <summary>
    /// The one door between payload bytes and arrays (mirror of bridge/tensors.py): little-endian, row-major. The elements are
    /// copied as they lie in memory, so the machine has to be little-endian, as every machine of Unity's is.
    /// </summary>
    public static class Tensors
    {
        /// <summary>Returns float32 values as a tensor; ArgumentException when their number is not that of the shape.</summary>
        public static Tensor FromFloats(float[] values, params long[] shape)
        {
            return FromArray(values, DataType.Float32, sizeof(float), shape);
        }

        /// <summary>Returns bool values as a tensor, one byte each.</summary>
        public static Tensor FromBools(bool[] values, params long[] shape)
        {
            return FromArray(values, DataType.Bool, sizeof(bool), shape);
        }

        /// <summary>Returns uint8 values as a tensor.</summary>
        public static Tensor FromBytes(byte[] values, params long[] shape)
        {
            return FromArray(values, DataType.Uint8, sizeof(byte), shape);
        }

        /// <summary>Returns int8 values as a tensor.</summary>
        public static Tensor FromSBytes(sbyte[] values, params long[] shape)
        {
            return FromArray(values, DataType.Int8, sizeof(sbyte), shape);
        }

        /// <summary>Returns int64 values as a tensor.</summary>
        public static Tensor FromLongs(long[] values, params long[] shape)
        {
            return FromArray(values, DataType.Int64, sizeof(long), shape);
        }

        /// <summary>Returns uint16 values as a tensor.</summary>
        public static Tensor FromUShorts(ushort[] values, params long[] shape)
        {
            return FromArray(values, DataType.Uint16, sizeof(ushort), shape);
        }

        /// <summary>Returns a float32 tensor's elements; FormatException, naming it, when type, shape and bytes disagree.</summary>
        public static float[] ToFloats(Tensor tensor, string name)
        {
            return (float[])ToArray(tensor, name, DataType.Float32, new float[Count(tensor.Shape)], sizeof(float));
        }

        /// <summary>Returns an int64 tensor's elements; FormatException, naming it, when type, shape and bytes disagree.</summary>
        public static long[] ToLongs(Tensor tensor, string name)
        {
            return (long[])ToArray(tensor, name, DataType.Int64, new long[Count(tensor.Shape)], sizeof(long));
        }

        /// <summary>Returns a uint8 tensor's elements; FormatException, naming it, when type, shape and bytes disagree.</summary>
        public static byte[] ToBytes(Tensor tensor, string name)
        {
            return (byte[])ToArray(tensor, name, DataType.Uint8, new byte[Count(tensor.Shape)], sizeof(byte));
        }

        /// <summary>Returns an int8 tensor's elements; FormatException, naming it, when type, shape and bytes disagree.</summary>
        public static sbyte[] ToSBytes(Tensor tensor, string name)
        {
            return (sbyte[])ToArray(tensor, name, DataType.Int8, new sbyte[Count(tensor.Shape)], sizeof(sbyte));
        }

        /// <summary>Returns a uint16 tensor's elements; FormatException, naming it, when type, shape and bytes disagree.</summary>
        public static ushort[] ToUShorts(Tensor tensor, string name)
        {
            return (ushort[])ToArray(tensor, name, DataType.Uint16, new ushort[Count(tensor.Shape)], sizeof(ushort));
        }

        /// <summary>Returns elements that lie in memory as they go over the wire, a row after another, as a tensor.</summary>
        internal static Tensor FromRows(byte[] data, DataType dtype, int rows, long[] rowShape)
        {
            var tensor = new Tensor { Dtype = dtype, Data = ByteString.CopyFrom(data) };
            tensor.Shape.Add(rows);
            tensor.Shape.AddRange(rowShape);
            return tensor;
        }

        /// <summary>Returns the bytes of one element.</summary>
        internal static int ElementSize(DataType dtype)
        {
            switch (dtype)
            {
                case DataType.Int8:
                case DataType.Uint8:
                case DataType.Bool: return 1;
                case DataType.Int16:
                case DataType.Uint16:
                case DataType.Float16: return 2;
                case DataType.Int32:
                case DataType.Float32: return 4;
                case DataType.Int64:
                case DataType.Float64: return 8;
                default: throw new ArgumentException(dtype + " is no type of elements");
            }
        }

        static Tensor FromArray(Array values, DataType dtype, int elementSize, long[] shape)
        {
            if (Count(shape) != values.Length)
            {
                string message = values.Length + " values for shape [" + string.Join(", ", shape) + "]";
                throw new ArgumentException(message, nameof(values));
            }
            var bytes = new byte[values.Length * elementSize];
            Buffer.BlockCopy(values, 0, bytes, 0, bytes.Length);
            var tensor = new Tensor { Dtype = dtype, Data = ByteString.CopyFrom(bytes) };
            tensor.Shape.AddRange(shape);
            return tensor;
        }

        static Array ToArray(Tensor tensor, string name, DataType dtype, Array values, int elementSize)
        {
            if (tensor.Dtype != dtype)
            {
                throw new FormatException(name + " is of type " + tensor.Dtype + ", expected " + dtype);
            }
            if (tensor.Data.Length != values.Length * elementSize)
            {
                string shape = string.Join(", ", tensor.Shape);
                string message = name + " has " + tensor.Data.Length + " bytes for shape [" + shape + "] of " + dtype;
                throw new FormatException(message + ", expected " + values.Length * elementSize);
            }
            Buffer.BlockCopy(tensor.Data.ToByteArray(), 0, values, 0, tensor.Data.Length);
            return values;
        }

        internal static int Count(IEnumerable<long> shape)
        {
            long count = 1;
            foreach (long size in shape) count = checked(count * size);
            return checked((int)count);
        }
    }
}
