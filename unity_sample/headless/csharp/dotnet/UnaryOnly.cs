using System;
using System.Threading.Tasks;
using Google.Protobuf;
using Metabridge.Transport;

namespace Metabridge.Headless
{
    /// <summary>A transport without streams both ways, as gRPC-Web's is.</summary>
    sealed class UnaryOnly : ITransport
    {
        readonly ITransport inner;

        internal UnaryOnly(ITransport inner)
        {
            this.inner = inner;
        }

        public void Dispose()
        {
        }

        public Task<TResponse> UnaryAsync<TRequest, TResponse>(
            Method<TRequest, TResponse> method, TRequest request, CallOptions options)
            where TRequest : class, IMessage<TRequest>
            where TResponse : class, IMessage<TResponse>
        {
            return inner.UnaryAsync(method, request, options);
        }

        public Task ServerStreamAsync<TRequest, TResponse>(
            Method<TRequest, TResponse> method, TRequest request, Func<TResponse, Task> onMessage, CallOptions options)
            where TRequest : class, IMessage<TRequest>
            where TResponse : class, IMessage<TResponse>
        {
            return inner.ServerStreamAsync(method, request, onMessage, options);
        }
    }
}
