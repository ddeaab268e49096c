using System;
using System.Threading.Tasks;
using Google.Protobuf;

namespace Metabridge.Transport
{
    /// <summary>A transport that carries streams both ways too: HTTP/2 does, gRPC-Web does not.</summary>
    public interface IDuplexTransport : ITransport
    {
        /// <summary>Begins a call whose messages go both ways until one side ends it; disposing of it ends it at once.</summary>
        IDuplexCall<TRequest, TResponse> OpenDuplex<TRequest, TResponse>(
            Method<TRequest, TResponse> method, CallOptions options)
            where TRequest : class, IMessage<TRequest>
            where TResponse : class, IMessage<TResponse>;
    }

    /// <summary>A call that goes both ways. It is used from one thread at a time.</summary>
    public interface IDuplexCall<TRequest, TResponse> : IDisposable
    {
        /// <summary>Sends a message; the task is done when it is on its way. Errors of the call show when it is read from.</summary>
        Task WriteAsync(TRequest message);

        /// <summary>Returns the next message, null when the other side has ended well; else RpcException.</summary>
        Task<TResponse> ReadAsync();

        /// <summary>Says that nothing more will be sent.</summary>
        void Complete();
    }

    /// <summary>Streams both ways over any transport that has them.</summary>
    public static class DuplexTransports
    {
        /// <summary>Begins a call over a transport; NotSupportedException for one without streams both ways.</summary>
        public static IDuplexCall<TRequest, TResponse> Duplex<TRequest, TResponse>(
            this ITransport transport, Method<TRequest, TResponse> method, CallOptions options)
            where TRequest : class, IMessage<TRequest>
            where TResponse : class, IMessage<TResponse>
        {
            if (transport is IDuplexTransport both) return both.OpenDuplex(method, options);
            string message = transport.GetType().Name + " has no streams both ways, which " + method.Path + " needs; use HttpClientTransport";
            throw new NotSupportedException(message);
        }
    }
}
