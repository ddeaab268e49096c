using System;
using System.Collections.Generic;
using System.IO;
using System.Net.Http;
using System.Threading.Tasks;
using Metabridge.Transport;

namespace Metabridge.Headless
{
    /// <summary>Runs one part of the client on .NET: <c>Program PART RESULT [ADDRESS ...]</c>, results as lines "name\tvalue".</summary>
    public static class Program
    {
        static readonly Dictionary<string, string> Results = new Dictionary<string, string>();

        public static async Task<int> Main(string[] arguments)
        {
            string file = arguments[1];
            var rest = new ArraySegment<string>(arguments, 2, arguments.Length - 2).ToArray();
            try
            {
                if (arguments[0] == "offline") await Offline();
                else if (arguments[0] == "avatars") await Avatars(rest[0], Path.GetDirectoryName(file), rest[1]);
                else if (arguments[0] == "scenes") await Scenes(rest[0], Path.GetDirectoryName(file));
                else if (arguments[0] == "cancelled") await Cancelled(rest[0]);
                else if (arguments[0] == "killed") await Killed(rest[0], Path.GetDirectoryName(file));
                else if (arguments[0] == "npcs") await new NpcCalls(Report).Run(rest[0], rest[1]);
                else if (arguments[0] == "policies") await Policies(rest[0]);
                else if (arguments[0] == "world") new WorldReplay(rest[0], Path.GetDirectoryName(file)).Run(Report);
                else if (arguments[0] == "live") await new LiveCalls(Report, Path.GetDirectoryName(file), rest).Run();
                else if (arguments[0] == "environment") await EnvironmentRun.Run(Report, rest);
                else throw new ArgumentException("no part \"" + arguments[0] + "\" in this program");
            }
            catch (Exception error)
            {
                Report("error", error.ToString());
            }
            using (var writer = new StreamWriter(file))
            {
                foreach (var pair in Results) writer.WriteLine(pair.Key + "\t" + pair.Value.Replace("\n", " "));
            }
            return Results.ContainsKey("error") ? 1 : 0;
        }

        static async Task Offline()
        {
            OfflineChecks.Run(Report);
            await BackPressure.Run(Report);
            await CutConnections.Run(Report);
        }

        static async Task Avatars(string address, string folder, string picture)
        {
            using (var transport = new HttpClientTransport("http://" + address, new SocketsHttpHandler()))
            {
                await new AvatarCalls(Report, folder, picture, transport).Run();
            }
        }

        static async Task Scenes(string address, string folder)
        {
            using (var transport = new HttpClientTransport("http://" + address, new SocketsHttpHandler()))
            {
                await new SceneCalls(Report, folder, transport).Run();
                await new PictureCalls(Report, folder, transport).Run();
            }
        }

        static async Task Policies(string address)
        {
            using (var transport = new HttpClientTransport("http://" + address, new SocketsHttpHandler()))
            {
                await new PolicyCalls(Report, transport).Run();
            }
        }

        static async Task Cancelled(string address)
        {
            using (var transport = new HttpClientTransport("http://" + address, new SocketsHttpHandler()))
            {
                await new CancelledMorphs(Report, transport).Run();
            }
        }

        static async Task Killed(string address, string folder)
        {
            using (var transport = new HttpClientTransport("http://" + address, new SocketsHttpHandler()))
            {
                await new KilledSidecar(Report, folder, transport).Run();
            }
        }

        static void Report(string name, string value)
        {
            Results[name] = value;
            Console.WriteLine(name + ": " + value);
        }
    }
}
