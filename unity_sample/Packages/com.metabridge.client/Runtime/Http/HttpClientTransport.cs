using System;
using System.Collections.Generic;
using System.IO;
using System.Net.Http;
using System.Net.Http.Headers;
using System.Threading;
using System.Threading.Tasks;
using Google.Protobuf;

namespace Metabridge.Transport
{
    /// <summary>
    /// gRPC over HTTP/2 by System.Net.Http. Unity's own handler has no HTTP/2: give one that does, YetAnotherHttpHandler with
    /// <c>Http2Only</c>, or UnityHttpMessageHandler from Unity 6.5 on; .NET's default handler has it. Answers and callbacks
    /// arrive on a thread of the pool, unless the caller awaits on the main thread.
    /// </summary>
    public sealed class HttpClientTransport : IDuplexTransport
    {
        internal const int ReadSize = 64 << 10;

        static readonly Version Http2 = new Version(2, 0);

        readonly HttpClient client;
        readonly Uri address;
        readonly int maxMessageBytes;

        /// <summary>Calls the sidecar at an address as http://127.0.0.1:50051; the transport disposes of the handler.</summary>
        public HttpClientTransport(
            string address, HttpMessageHandler handler, int maxMessageBytes = GrpcFrames.DefaultMaxMessageBytes)
        {
            this.address = new Uri(address);
            this.maxMessageBytes = maxMessageBytes;
            client = new HttpClient(handler, true) { Timeout = Timeout.InfiniteTimeSpan };
        }

        public void Dispose()
        {
            client.Dispose();
        }

        public async Task<TResponse> UnaryAsync<TRequest, TResponse>(
            Method<TRequest, TResponse> method, TRequest request, CallOptions options)
            where TRequest : class, IMessage<TRequest>
            where TResponse : class, IMessage<TResponse>
        {
            TResponse answer = null;
            Func<TResponse, Task> keep = message =>
            {
                answer = message;
                return Task.CompletedTask;
            };
            await ServerStreamAsync(method, request, keep, options).ConfigureAwait(false);
            return answer ?? throw new RpcException(StatusCode.Internal, method.Path + " ended well without an answer");
        }

        public async Task ServerStreamAsync<TRequest, TResponse>(
            Method<TRequest, TResponse> method, TRequest request, Func<TResponse, Task> onMessage, CallOptions options)
            where TRequest : class, IMessage<TRequest>
            where TResponse : class, IMessage<TResponse>
        {
            using (var deadline = CancellationTokenSource.CreateLinkedTokenSource(options.Cancellation))
            using (var message = Request(method.Path, Content(request), options))
            {
                if (options.Timeout.HasValue) deadline.CancelAfter(options.Timeout.Value);
                try
                {
                    var reader = new AnswerReader<TResponse>(method.Parser, maxMessageBytes);
                    await Exchange(message, reader, onMessage, deadline.Token).ConfigureAwait(false);
                }
                catch (Exception error)
                {
                    var mapped = Mapped(error, address.ToString(), options, deadline);
                    if (mapped == null) throw;
                    throw mapped;
                }
            }
        }

        public IDuplexCall<TRequest, TResponse> OpenDuplex<TRequest, TResponse>(
            Method<TRequest, TResponse> method, CallOptions options)
            where TRequest : class, IMessage<TRequest>
            where TResponse : class, IMessage<TResponse>
        {
            var reader = new AnswerReader<TResponse>(method.Parser, maxMessageBytes);
            Func<HttpContent, HttpRequestMessage> request = content => Request(method.Path, content, options);
            return new HttpDuplexCall<TRequest, TResponse>(request, client, address.ToString(), reader, options);
        }

        /// <summary>Returns what an exception of HTTP means for a call; null for one that is the caller's own.</summary>
        internal static RpcException Mapped(
            Exception error, string address, CallOptions options, CancellationTokenSource deadline)
        {
            if (error is OperationCanceledException && !options.Cancellation.IsCancellationRequested)
            {
                bool isLate = deadline.IsCancellationRequested;
                string text = isLate ? "no answer within " + options.Timeout : "the transport was disposed of";
                return new RpcException(isLate ? StatusCode.DeadlineExceeded : StatusCode.Cancelled, text, null, error);
            }
            if (!(error is HttpRequestException) && !(error is IOException)) return null;
            string what = WasConnected(error) ? "the connection was lost to " : "no connection to ";
            string reason = what + address + ": " + error.GetBaseException().Message;
            return new RpcException(StatusCode.Unavailable, reason, null, error);
        }

        // A connection that is cut fails to read or write; one that is never made fails by its socket, its name or its certificate.
        static bool WasConnected(Exception error)
        {
            while (error != null && !(error is IOException)) error = error.InnerException;
            return error != null;
        }

        async Task Exchange<TResponse>(
            HttpRequestMessage message, AnswerReader<TResponse> reader, Func<TResponse, Task> onMessage, CancellationToken token)
            where TResponse : class, IMessage<TResponse>
        {
            const HttpCompletionOption early = HttpCompletionOption.ResponseHeadersRead;
            using (var response = await client.SendAsync(message, early, token).ConfigureAwait(false))
            {
                var buffer = new byte[ReadSize];
                using (var body = await response.Content.ReadAsStreamAsync().ConfigureAwait(false))
                {
                    int length;
                    while ((length = await body.ReadAsync(buffer, 0, buffer.Length, token).ConfigureAwait(false)) > 0)
                    {
                        reader.Append(buffer, length);
                        while (reader.TryRead(out var answer)) await Taken(onMessage(answer), token).ConfigureAwait(false);
                    }
                }
                AddTrailers(reader.Trailers, response.Headers);
                AddTrailers(reader.Trailers, TrailersOf(response));
                reader.Finish((int)response.StatusCode);
            }
        }

        // While a message is not taken nothing is read: HTTP/2's flow control then holds up the sidecar.
        static async Task Taken(Task taking, CancellationToken token)
        {
            if (!taking.IsCompleted)
            {
                var ended = new TaskCompletionSource<bool>();
                using (token.Register(() => ended.TrySetResult(true)))
                {
                    await Task.WhenAny(taking, ended.Task).ConfigureAwait(false);
                }
                token.ThrowIfCancellationRequested();
            }
            await taking.ConfigureAwait(false);
            token.ThrowIfCancellationRequested();
        }

        static HttpContent Content(IMessage request)
        {
            var content = new ByteArrayContent(GrpcFrames.Encode(request));
            content.Headers.ContentType = new MediaTypeHeaderValue("application/grpc");
            return content;
        }

        HttpRequestMessage Request(string path, HttpContent content, CallOptions options)
        {
            var message = new HttpRequestMessage(HttpMethod.Post, new Uri(address, path)) { Version = Http2, Content = content };
#if NET5_0_OR_GREATER
            message.VersionPolicy = HttpVersionPolicy.RequestVersionExact;
#endif
            message.Headers.TE.Add(new TransferCodingWithQualityHeaderValue("trailers"));
            foreach (var pair in options.Headers()) message.Headers.TryAddWithoutValidation(pair.Key, pair.Value);
            return message;
        }

        internal static HttpHeaders TrailersOf(HttpResponseMessage response)
        {
#if NET5_0_OR_GREATER || NET_STANDARD_2_1
            return response.TrailingHeaders;
#else
            // Handlers for class libraries without TrailingHeaders keep them here.
            object trailers = null;
            response.RequestMessage?.Properties.TryGetValue("__ResponseTrailers", out trailers);
            return trailers as HttpHeaders;
#endif
        }

        internal static void AddTrailers(Trailers trailers, HttpHeaders headers)
        {
            if (headers == null) return;
            foreach (KeyValuePair<string, IEnumerable<string>> header in headers)
            {
                if (!header.Key.StartsWith("grpc-", StringComparison.OrdinalIgnoreCase)) continue;
                foreach (string value in header.Value) trailers.Add(header.Key, value);
            }
        }
    }
}
