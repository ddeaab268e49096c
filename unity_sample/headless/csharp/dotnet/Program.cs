using System;
using System.Collections.Generic;
using System.IO;
using System.Threading.Tasks;

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
                if (arguments[0] == "offline") OfflineChecks.Run(Report);
                else if (arguments[0] == "live") await new LiveCalls(Report, Path.GetDirectoryName(file), rest).Run();
                else throw new ArgumentException("no part \"" + arguments[0] + "\", there are offline and live");
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

        static void Report(string name, string value)
        {
            Results[name] = value;
            Console.WriteLine(name + ": " + value);
        }
    }
}
