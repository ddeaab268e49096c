using System;
using System.Globalization;
using System.IO;
using System.Threading.Tasks;
using Metabridge.Transport;
using Metabridge.V1;

namespace Metabridge.Headless
{
    /// <summary>Calls everything that PictureClient has over one transport: codes to pictures, and those to codes again.</summary>
    sealed class PictureCalls
    {
        const int Codes = 16, Pictures = 2;

        readonly Action<string, string> report;
        readonly string folder;
        readonly PictureClient client;

        internal PictureCalls(Action<string, string> report, string folder, ITransport transport)
        {
            this.report = report;
            this.folder = folder;
            client = new PictureClient(transport);
        }

        internal async Task Run()
        {
            var codes = new ushort[Pictures][];
            for (int i = 0; i < Pictures; i++)
            {
                codes[i] = new ushort[Codes];
                for (int j = 0; j < Codes; j++) codes[i][j] = (ushort)((i * Codes + j) * 5 % 8);
            }
            var shown = await client.DecodeAsync(codes, new PictureSettings { Model = "mosaic" });
            for (int i = 0; i < shown.Length; i++)
            {
                File.WriteAllBytes(Path.Combine(folder, "picture-" + i + ".rgba"), shown[i].Data);
                report("picture-" + i, shown[i].Width + " " + shown[i].Height + " " + shown[i].Format + " " + shown[i].Model.Name);
            }
            var files = await client.DecodeAsync(codes, new PictureSettings { Model = "mosaic", Format = ImageFormat.Png });
            var encoded = await client.EncodeAsync(Array.ConvertAll(files, file => file.Data), new PictureSettings { Model = "mosaic" });
            string numbers = "", distances = "";
            foreach (var one in encoded)
            {
                foreach (ushort code in one.Codes) numbers += code + " ";
                distances += one.PixelDistance.ToString("R", CultureInfo.InvariantCulture) + " ";
            }
            report("encoded", numbers.Trim());
            report("distances", distances.Trim());
            codes[0][0] = 8;
            await Fails("no picture", () => client.EncodeAsync(new[] { new byte[] { 1, 2, 3 } }, new PictureSettings { Model = "mosaic" }));
            await Fails("unknown code", () => client.DecodeAsync(codes, new PictureSettings { Model = "mosaic" }));
        }

        async Task Fails(string name, Func<Task> call)
        {
            try
            {
                await call();
                report(name, "nothing");
            }
            catch (RpcException error)
            {
                report(name, error.Status + "|" + error.Field);
            }
        }
    }
}
