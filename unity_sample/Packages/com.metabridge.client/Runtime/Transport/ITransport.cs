using System;
using System.Threading.Tasks;
using Google.Protobuf;

namespace Metabridge.Transport
{
    /// <summary>
    /// Carries calls to a sidecar. Failed calls end in <see cref="RpcException"/>, cancelled ones in
    /// <see cref="OperationCanceledException"/>. Disposing ends the calls that run.
    /// </summary>
    public interface ITransport : IDisposable
    {
        /// <summary>Sends one message and returns the answer.</summary>
        Task<TResponse> UnaryAsync<TRequest, TResponse>(Method<TRequest, TResponse> method, TRequest request, CallOptions options)
            where TRequest : class, IMessage<TRequest>
            where TResponse : class, IMessage<TResponse>;

        /// <summary>
        /// Sends one message and hands each message of the answer to <paramref name="onMessage"/>, on the thread that the transport
        /// says; nothing more is read before the callback's task is done. The task ends with the stream. What the callback throws
        /// ends the call; a call that ends early does not wait for it.
        /// </summary>
        Task ServerStreamAsync<TRequest, TResponse>(
            Method<TRequest, TResponse> method, TRequest request, Func<TResponse, Task> onMessage, CallOptions options)
            where TRequest : class, IMessage<TRequest>
            where TResponse : class, IMessage<TResponse>;
    }
}
