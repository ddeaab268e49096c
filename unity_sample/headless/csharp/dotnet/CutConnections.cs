using System;
using System.IO;
using System.Net.Http;
using System.Threading;
using System.Threading.Tasks;
using Metabridge.Transport;
using Metabridge.V1;

namespace Metabridge.Headless
{
    /// <summary>Checks that a message of a stream is given up at once when there is no connection or it is cut.</summary>
    static class CutConnections
    {
        static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

        internal static async Task Run(Action<string, string> report)
        {
            report("a message before there is a connection", await Exchanged(new Refusing()));
            report("a message on a cut connection", await Exchanged(new Cutting()));
        }

        static async Task<string> Exchanged(HttpMessageHandler handler)
        {
            using (var transport = new HttpClientTransport("http://trainer", handler))
            using (var call = new EnvironmentServiceClient(transport).OfferEnvironment(new CallOptions()))
            {
                var writing = call.WriteAsync(new OfferEnvironmentRequest());
                if (await Task.WhenAny(writing, Task.Delay(Patience)) != writing) return "waits for ever";
                return (await AvatarCalls.Failure(() => call.ReadAsync())).Split('|')[0];
            }
        }

        sealed class Refusing : HttpMessageHandler
        {
            protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken token)
            {
                await Task.Delay(100);
                throw new HttpRequestException("refused");
            }
        }

        sealed class Cutting : HttpMessageHandler
        {
            protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken token)
            {
                await request.Content.CopyToAsync(new CutStream());
                throw new HttpRequestException("cut");
            }
        }

        sealed class CutStream : MemoryStream
        {
            public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken token)
            {
                return Task.FromException(new IOException("cut"));
            }
        }
    }
}
