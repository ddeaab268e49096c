// The part of System.Runtime.CompilerServices.Unsafe that Google.Protobuf's source needs, for players that keep it internal.
using System;

namespace System.Runtime.CompilerServices
{
    // Over arrays, within which the caller indexes.
    public static unsafe class Unsafe
    {
        public static T ReadUnaligned<T>(ref byte source) where T : unmanaged
        {
            fixed (byte* pointer = &source) return *(T*)pointer;
        }

        public static void WriteUnaligned<T>(ref byte target, T value) where T : unmanaged
        {
            fixed (byte* pointer = &target) *(T*)pointer = value;
        }

        public static ref TTo As<TFrom, TTo>(ref TFrom source) where TFrom : unmanaged where TTo : unmanaged
        {
            fixed (TFrom* pointer = &source) return ref *(TTo*)pointer;
        }

        public static ref T Add<T>(ref T source, int count) where T : unmanaged
        {
            fixed (T* pointer = &source) return ref *(pointer + count);
        }

        public static ref T AddByteOffset<T>(ref T source, IntPtr bytes) where T : unmanaged
        {
            fixed (T* pointer = &source) return ref *(T*)((byte*)pointer + (long)bytes);
        }
    }
}
