using System;
using System.Collections.Generic;
using System.IO;

namespace Metabridge.Headless
{
    /// <summary>Files NAME.bin of little-endian numbers, each written on from call to call.</summary>
    sealed class ArrayFiles : IDisposable
    {
        readonly string folder;
        readonly Dictionary<string, BinaryWriter> files = new Dictionary<string, BinaryWriter>();

        internal ArrayFiles(string folder)
        {
            this.folder = folder;
        }

        internal void Write(string name, params float[] values)
        {
            foreach (float value in values) Of(name).Write(value);
        }

        internal void Write(string name, params double[] values)
        {
            foreach (double value in values) Of(name).Write(value);
        }

        internal void Write(string name, params bool[] values)
        {
            foreach (bool value in values) Of(name).Write(value);
        }

        public void Dispose()
        {
            foreach (var file in files.Values) ((IDisposable)file).Dispose();
        }

        BinaryWriter Of(string name)
        {
            if (files.TryGetValue(name, out var file)) return file;
            return files[name] = new BinaryWriter(File.Create(Path.Combine(folder, name + ".bin")));
        }
    }
}
