// The part of System.Memory that Google.Protobuf's source needs, for players whose class library has no spans.
// Every span lies over an array: one made from a pointer takes an array of its own, which serves `stackalloc` alone.
using System.Collections.Generic;

namespace System
{
    public readonly ref struct Span<T>
    {
        internal readonly T[] Items;
        internal readonly int Start;
        public int Length { get; }

        public Span(T[] items) : this(items, 0, items == null ? 0 : items.Length) { }

        public Span(T[] items, int start, int length)
        {
            Bounds.Check(items == null ? 0 : items.Length, start, length);
            Items = items;
            Start = start;
            Length = length;
        }

        public unsafe Span(void* stack, int length) : this(new T[length]) { }

        public bool IsEmpty => Length == 0;

        public ref T this[int index]
        {
            get
            {
                if ((uint)index >= (uint)Length) throw new IndexOutOfRangeException();
                return ref Items[Start + index];
            }
        }

        public Span<T> Slice(int start) => Slice(start, Length - start);

        public Span<T> Slice(int start, int length)
        {
            Bounds.Check(Length, start, length);
            return new Span<T>(Items, Start + start, length);
        }

        public void CopyTo(Span<T> target) => ((ReadOnlySpan<T>)this).CopyTo(target);

        public void Reverse() => Array.Reverse(Items, Start, Length);

        public static implicit operator Span<T>(T[] items) => new Span<T>(items);

        public static implicit operator ReadOnlySpan<T>(Span<T> span) => new ReadOnlySpan<T>(span.Items, span.Start, span.Length);
    }

    public readonly ref struct ReadOnlySpan<T>
    {
        internal readonly T[] Items;
        internal readonly int Start;
        public int Length { get; }

        public ReadOnlySpan(T[] items) : this(items, 0, items == null ? 0 : items.Length) { }

        public ReadOnlySpan(T[] items, int start, int length)
        {
            Bounds.Check(items == null ? 0 : items.Length, start, length);
            Items = items;
            Start = start;
            Length = length;
        }

        public bool IsEmpty => Length == 0;

        public ref readonly T this[int index]
        {
            get
            {
                if ((uint)index >= (uint)Length) throw new IndexOutOfRangeException();
                return ref Items[Start + index];
            }
        }

        public ReadOnlySpan<T> Slice(int start) => Slice(start, Length - start);

        public ReadOnlySpan<T> Slice(int start, int length)
        {
            Bounds.Check(Length, start, length);
            return new ReadOnlySpan<T>(Items, Start + start, length);
        }

        public void CopyTo(Span<T> target)
        {
            if (Length > target.Length) throw new ArgumentException("the target span is shorter than the source");
            if (Length > 0) Array.Copy(Items, Start, target.Items, target.Start, Length);
        }

        public T[] ToArray()
        {
            var copy = new T[Length];
            CopyTo(copy);
            return copy;
        }

        public static implicit operator ReadOnlySpan<T>(T[] items) => new ReadOnlySpan<T>(items);
    }

    public readonly struct Memory<T>
    {
        internal readonly T[] Items;
        internal readonly int Start;
        public int Length { get; }

        public Memory(T[] items, int start, int length)
        {
            Bounds.Check(items == null ? 0 : items.Length, start, length);
            Items = items;
            Start = start;
            Length = length;
        }

        public Span<T> Span => new Span<T>(Items, Start, Length);

        public static implicit operator ReadOnlyMemory<T>(Memory<T> memory) =>
            new ReadOnlyMemory<T>(memory.Items, memory.Start, memory.Length);
    }

    public readonly struct ReadOnlyMemory<T>
    {
        internal readonly T[] Items;
        internal readonly int Start;
        public int Length { get; }

        public ReadOnlyMemory(T[] items) : this(items, 0, items == null ? 0 : items.Length) { }

        public ReadOnlyMemory(T[] items, int start, int length)
        {
            Bounds.Check(items == null ? 0 : items.Length, start, length);
            Items = items;
            Start = start;
            Length = length;
        }

        public bool IsEmpty => Length == 0;

        public ReadOnlySpan<T> Span => new ReadOnlySpan<T>(Items, Start, Length);

        public T[] ToArray() => Span.ToArray();

        public void CopyTo(Memory<T> target) => Span.CopyTo(target.Span);

        public static implicit operator ReadOnlyMemory<T>(T[] items) => new ReadOnlyMemory<T>(items);
    }

    public static class MemoryExtensions
    {
        public static Span<T> AsSpan<T>(this T[] items) => new Span<T>(items);

        public static Memory<T> AsMemory<T>(this T[] items) => AsMemory(items, 0);

        public static Memory<T> AsMemory<T>(this T[] items, int start) => AsMemory(items, start, items.Length - start);

        public static Memory<T> AsMemory<T>(this T[] items, int start, int length) => new Memory<T>(items, start, length);

        public static ReadOnlySpan<char> AsSpan(this string text) => new ReadOnlySpan<char>(text.ToCharArray());

        public static bool SequenceEqual<T>(this ReadOnlySpan<T> left, ReadOnlySpan<T> right) where T : IEquatable<T>
        {
            if (left.Length != right.Length) return false;
            for (int i = 0; i < left.Length; i++)
            {
                if (!left[i].Equals(right[i])) return false;
            }
            return true;
        }
    }

    internal static class Bounds
    {
        internal static void Check(int size, int start, int length)
        {
            if ((uint)start > (uint)size || (uint)length > (uint)(size - start)) throw new ArgumentOutOfRangeException();
        }
    }
}

namespace System.Buffers
{
    public interface IBufferWriter<T>
    {
        void Advance(int count);
        Memory<T> GetMemory(int sizeHint = 0);
        Span<T> GetSpan(int sizeHint = 0);
    }

    // A sequence of one segment: nothing here makes longer ones.
    public readonly struct ReadOnlySequence<T>
    {
        public ReadOnlyMemory<T> First { get; }

        public ReadOnlySequence(T[] items)
        {
            First = items;
        }

        public long Length => First.Length;

        public bool IsSingleSegment => true;

        public Enumerator GetEnumerator() => new Enumerator(First);

        public struct Enumerator
        {
            bool isAtStart;
            public ReadOnlyMemory<T> Current { get; }

            internal Enumerator(ReadOnlyMemory<T> segment)
            {
                Current = segment;
                isAtStart = true;
            }

            public bool MoveNext()
            {
                bool moved = isAtStart;
                isAtStart = false;
                return moved;
            }
        }
    }
}

namespace System.Buffers.Binary
{
    public static class BinaryPrimitives
    {
        public static uint ReadUInt32LittleEndian(ReadOnlySpan<byte> source) =>
            (uint)(source[0] | source[1] << 8 | source[2] << 16 | source[3] << 24);

        public static ulong ReadUInt64LittleEndian(ReadOnlySpan<byte> source) =>
            ReadUInt32LittleEndian(source) | (ulong)ReadUInt32LittleEndian(source.Slice(4)) << 32;

        public static void WriteUInt32LittleEndian(Span<byte> target, uint value)
        {
            for (int i = 0; i < 4; i++) target[i] = (byte)(value >> 8 * i);
        }

        public static void WriteUInt64LittleEndian(Span<byte> target, ulong value)
        {
            for (int i = 0; i < 8; i++) target[i] = (byte)(value >> 8 * i);
        }
    }
}

namespace System.Runtime.InteropServices
{
    public static class MemoryMarshal
    {
        static class Empty<T>
        {
            internal static readonly T[] One = new T[1];
        }

        public static ref T GetReference<T>(Span<T> span)
        {
            if (span.Items == null || span.Start >= span.Items.Length) return ref Empty<T>.One[0];
            return ref span.Items[span.Start];
        }

        public static ref T GetReference<T>(ReadOnlySpan<T> span)
        {
            if (span.Items == null || span.Start >= span.Items.Length) return ref Empty<T>.One[0];
            return ref span.Items[span.Start];
        }

        public static IEnumerable<T> ToEnumerable<T>(ReadOnlyMemory<T> memory)
        {
            for (int i = 0; i < memory.Length; i++) yield return memory.Items[memory.Start + i];
        }

        public static bool TryGetArray<T>(ReadOnlyMemory<T> memory, out ArraySegment<T> segment)
        {
            segment = new ArraySegment<T>(memory.Items ?? new T[0], memory.Start, memory.Length);
            return true;
        }
    }
}
