using System;
using System.Collections.Generic;
using System.Threading.Tasks;
using Google.Protobuf;
using UnityEngine;

namespace Metabridge.Transport
{
    /// <summary>
    /// gRPC-Web over UnityWebRequest: runs on every platform of Unity's, WebGL too, without a native plug-in. It is used on the
    /// main thread, where answers and callbacks arrive as well, at the beginning of a frame. Disposing cancels running calls.
    /// UnityWebRequest cannot be told to wait: what arrives while a callback's task is not done is kept, up to twice the size of
    /// the largest message.
    /// </summary>
    public sealed class UnityWebRequestTransport : ITransport
    {
        readonly string address;
        readonly int maxMessageBytes;
        readonly WebPump pump;

        /// <summary>Calls the sidecar whose web port has an address as http://127.0.0.1:50052.</summary>
        public UnityWebRequestTransport(string address, int maxMessageBytes = GrpcFrames.DefaultMaxMessageBytes)
        {
            this.address = address.TrimEnd('/');
            this.maxMessageBytes = maxMessageBytes;
            pump = WebPump.Create();
        }

        public void Dispose()
        {
            pump.Release();
        }

        public Task<TResponse> UnaryAsync<TRequest, TResponse>(
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
            return Send(method, request, keep, () => answer, options);
        }

        public Task ServerStreamAsync<TRequest, TResponse>(
            Method<TRequest, TResponse> method, TRequest request, Func<TResponse, Task> onMessage, CallOptions options)
            where TRequest : class, IMessage<TRequest>
            where TResponse : class, IMessage<TResponse>
        {
            return Send(method, request, onMessage, null, options);
        }

        Task<TResponse> Send<TRequest, TResponse>(
            Method<TRequest, TResponse> method,
            TRequest request,
            Func<TResponse, Task> onMessage,
            Func<TResponse> answer,
            CallOptions options)
            where TRequest : class, IMessage<TRequest>
            where TResponse : class, IMessage<TResponse>
        {
            var reader = new AnswerReader<TResponse>(method.Parser, maxMessageBytes);
            var download = new FrameDownload<TResponse>(reader, onMessage, options.Cancellation);
            var call = new WebCall<TResponse>(address + method.Path, GrpcFrames.Encode(request), download, answer, options);
            pump.Add(call);
            return call.Task;
        }
    }

    // Steps the transport's calls at the beginning of each frame, before the scripts that wait for their answers.
    [DefaultExecutionOrder(-32000)]
    sealed class WebPump : MonoBehaviour
    {
        readonly List<WebCall> calls = new List<WebCall>();

        internal static WebPump Create()
        {
            var holder = new GameObject("Metabridge transport") { hideFlags = HideFlags.HideInHierarchy };
            DontDestroyOnLoad(holder);
            return holder.AddComponent<WebPump>();
        }

        internal void Release()
        {
            if (this != null) Destroy(gameObject);
        }

        internal void Add(WebCall call)
        {
            if (this == null) call.Cancel();
            else calls.Add(call);
        }

        void Update()
        {
            for (int i = 0; i < calls.Count; i++)
            {
                var call = calls[i];
                if (!call.Step()) continue;
                calls.RemoveAt(i--);
                call.Complete();
            }
        }

        void OnDestroy()
        {
            foreach (var call in calls.ToArray()) call.Cancel();
            calls.Clear();
        }
    }
}
