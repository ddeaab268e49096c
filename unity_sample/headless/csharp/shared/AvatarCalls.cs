using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Threading.Tasks;
using Metabridge.Transport;
using Metabridge.V1;

namespace Metabridge.Headless
{
    /// <summary>
    /// Calls everything that AvatarClient has over one transport, and leaves pictures, styles and what was said behind. The same
    /// code runs on .NET and in the player.
    /// </summary>
    sealed class AvatarCalls
    {
        static readonly ulong[] Seeds = { 7, ulong.MaxValue };

        readonly Action<string, string> report;
        readonly string folder;
        readonly string picture;
        readonly AvatarClient client;

        internal AvatarCalls(Action<string, string> report, string folder, string picture, ITransport transport)
        {
            this.report = report;
            this.folder = folder;
            this.picture = picture;
            client = new AvatarClient(transport);
        }

        internal async Task Run()
        {
            await Controls();
            await Styles();
            await Projections();
            await Morphs();
            await Errors();
        }

        static AvatarSettings Portrait(float glasses = 0f, float hair = 0f)
        {
            var settings = new AvatarSettings { Model = "portrait", Truncation = 0.8f };
            if (glasses != 0f) settings.Controls["glasses"] = glasses;
            if (hair != 0f) settings.Controls["hair"] = hair;
            return settings;
        }

        async Task Controls()
        {
            foreach (var image in await client.GenerateAsync(Seeds, Portrait())) Write("plain-" + image.Seed + ".rgba", image.Data);
            var moved = await client.GenerateAsync(Seeds, Portrait(0.75f, -1.5f));
            foreach (var image in moved) Write("moved-" + image.Seed + ".rgba", image.Data);
            report("styles unasked", moved[0].Styles == null ? "none" : "some");
        }

        async Task Styles()
        {
            var settings = Portrait(0.75f);
            settings.Mix = new StyleMix(new[] { 9UL, 10UL }, 1, 2);
            settings.ReturnsStyles = true;
            var mixed = await client.GenerateAsync(Seeds, settings);
            foreach (var image in mixed) Write("mixed-" + image.Seed + ".rgba", image.Data);
            var styles = Array.ConvertAll(mixed, image => image.Styles);
            Write("mixed.f32", styles);
            var again = await client.GenerateAsync(styles, Portrait(0.75f));
            foreach (var image in again) Write("again-" + image.Seed + ".rgba", image.Data);
            var streamed = new List<AvatarImage>();
            await client.StreamAsync(styles, Portrait(0.75f), streamed.Add);
            foreach (var image in streamed) Write("streamed-" + image.Seed + ".rgba", image.Data);
            report("no styles", await Failure(() => client.GenerateAsync(new AvatarStyles[0], Portrait())));
        }

        async Task Projections()
        {
            byte[] file = File.ReadAllBytes(picture);
            await Project("file", AvatarPicture.FromFile(file), Portrait(), 5, 2);
            byte[] rgba = File.ReadAllBytes(Path.ChangeExtension(picture, ".rgba"));
            int width = (int)Math.Sqrt(rgba.Length / 4);
            await Project("pixels", AvatarPicture.FromRgba8(rgba, width, width, RowOrigin.TopLeft), Portrait(0.5f), 0, 0);
        }

        async Task Project(string name, AvatarPicture shown, AvatarSettings settings, ulong seed, int refineSteps)
        {
            var found = await client.ProjectAsync(shown, settings, seed, refineSteps);
            Write("projected-" + name + ".rgba", found.Avatar.Data);
            Write("projected-" + name + ".f32", new[] { found.Avatar.Styles });
            report("distance " + name, found.PixelDistance.ToString("R", CultureInfo.InvariantCulture));
        }

        async Task Morphs()
        {
            var morph = new MorphSettings { SecondsPerKey = 0.3f, FrameRate = 24f, IsLoop = true, IsRealTime = false };
            await Morph("morph", add => client.MorphAsync(new[] { 1UL, 2UL, 3UL }, Portrait(0.5f), morph, add));
            var large = Portrait();
            large.Size = 1024;
            morph = new MorphSettings { SecondsPerKey = 0.1f, IsRealTime = true };
            await Morph("large", add => client.MorphAsync(new[] { 1UL, 2UL }, large, morph, add));
        }

        async Task Morph(string name, Func<Func<AvatarFrame, Task>, Task> call)
        {
            var frames = new List<string>();
            var buffer = new byte[0];
            string path = Path.Combine(folder, name + ".rgba");
            File.Delete(path);
            await call(frame =>
            {
                if (buffer.Length != frame.ByteCount) buffer = new byte[frame.ByteCount];
                frame.CopyTo(buffer);
                using (var file = new FileStream(path, FileMode.Append)) file.Write(buffer, 0, buffer.Length);
                frames.Add(frame.Index + "/" + frame.Count + ":" + frame.Seconds.ToString("0.0000", CultureInfo.InvariantCulture));
                return Task.CompletedTask;
            });
            report(name, string.Join(" ", frames));
        }

        async Task Errors()
        {
            var unknown = Portrait();
            unknown.Controls["nose"] = 1f;
            var morph = new MorphSettings();
            byte[] file = File.ReadAllBytes(picture);
            Func<AvatarFrame, Task> none = frame => Task.CompletedTask;
            report("unknown control", await Failure(() => client.GenerateAsync(Seeds, unknown)));
            report("unknown control in a morph", await Failure(() => client.MorphAsync(Seeds, unknown, morph, none)));
            report("unknown control in a projection", await Failure(() => client.ProjectAsync(AvatarPicture.FromFile(file), unknown)));
            report("control out of range", await Failure(() => client.GenerateAsync(Seeds, Portrait(1.5f))));
            report("one key", await Failure(() => client.MorphAsync(new[] { 1UL }, Portrait(), morph, none)));
            report("no picture", await Failure(() => client.ProjectAsync(AvatarPicture.FromFile(new byte[] { 1, 2, 3 }), Portrait())));
            var face = new AvatarSettings { Model = "face" };
            report("no encoder", await Failure(() => client.ProjectAsync(AvatarPicture.FromFile(file), face)));
            var mixed = Portrait();
            mixed.Mix = new StyleMix(1, 1, 3);
            report("layer out of range", await Failure(() => client.GenerateAsync(Seeds, mixed)));
            report("callback throws", await Failure(() => client.MorphAsync(Seeds, Portrait(), morph, frame => throw new FormatException("mine"))));
        }

        void Write(string name, byte[] data)
        {
            File.WriteAllBytes(Path.Combine(folder, name), data);
        }

        void Write(string name, IEnumerable<AvatarStyles> styles)
        {
            using (var file = new BinaryWriter(File.Create(Path.Combine(folder, name))))
            {
                foreach (var one in styles)
                {
                    foreach (float value in one.ToArray()) file.Write(value);
                }
            }
        }

        internal static async Task<string> Failure(Func<Task> call)
        {
            try
            {
                await call();
                return "nothing";
            }
            catch (RpcException error)
            {
                return error.Status + "|" + error.Field + "|" + error.Message;
            }
            catch (Exception error)
            {
                return error.GetType().Name + "|" + error.Message;
            }
        }
    }
}
