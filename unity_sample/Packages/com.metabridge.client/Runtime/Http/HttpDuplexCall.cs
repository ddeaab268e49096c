using System;
using System.IO;
using System.Net.Http;
using System.Threading;
using System.Threading.Tasks;
using Google.Protobuf;

namespace Metabridge.Transport
{
    /// <summary>One call over HTTP/2 whose request and answer are streams that run at the same time.</summary>
    sealed class HttpDuplexCall<TRequest, TResponse> : IDuplexCall<TRequest, TResponse>
        where TRequest : class, IMessage<TRequest>
        where TResponse : class, IMessage<TResponse>
    {
        readonly FrameContent content = new FrameContent();
        readonly byte[] buffer = new byte[HttpClientTransport.ReadSize];
        readonly CancellationTokenSource ending;
        readonly CallOptions options;
        readonly string address;
        readonly AnswerReader<TResponse> reader;
        readonly Task<HttpResponseMessage> sending;
        HttpResponseMessage response;
        Stream body;

        internal HttpDuplexCall(
            Func<HttpContent, HttpRequestMessage> request,
            HttpClient client,
            string address,
            AnswerReader<TResponse> reader,
            CallOptions options)
        {
            this.address = address;
            this.reader = reader;
            this.options = options;
            ending = CancellationTokenSource.CreateLinkedTokenSource(options.Cancellation);
            if (options.Timeout.HasValue) ending.CancelAfter(options.Timeout.Value);
            ending.Token.Register(content.End);
            sending = client.SendAsync(request(content), HttpCompletionOption.ResponseHeadersRead, ending.Token);
            // Where no connection was made, nobody took the content.
            sending.ContinueWith(_ => content.GiveUp(), TaskContinuationOptions.NotOnRanToCompletion);
        }

        public Task WriteAsync(TRequest message)
        {
            return content.WriteAsync(GrpcFrames.Encode(message));
        }

        public void Complete()
        {
            content.End();
        }

        public async Task<TResponse> ReadAsync()
        {
            try
            {
                if (body == null)
                {
                    response = await sending.ConfigureAwait(false);
                    body = await response.Content.ReadAsStreamAsync().ConfigureAwait(false);
                }
                return await Next().ConfigureAwait(false);
            }
            catch (Exception error)
            {
                var mapped = HttpClientTransport.Mapped(error, address, options, ending);
                if (mapped == null) throw;
                throw mapped;
            }
        }

        public void Dispose()
        {
            ending.Cancel();
            response?.Dispose();
            ending.Dispose();
            sending.ContinueWith(task => task.Exception, TaskContinuationOptions.OnlyOnFaulted); // what comes of it now is nobody's
        }

        async Task<TResponse> Next()
        {
            TResponse answer;
            while (!reader.TryRead(out answer))
            {
                int length = await body.ReadAsync(buffer, 0, buffer.Length, ending.Token).ConfigureAwait(false);
                if (length == 0)
                {
                    HttpClientTransport.AddTrailers(reader.Trailers, response.Headers);
                    HttpClientTransport.AddTrailers(reader.Trailers, HttpClientTransport.TrailersOf(response));
                    reader.Finish((int)response.StatusCode);
                    return null;
                }
                reader.Append(buffer, length);
            }
            return answer;
        }
    }
}
