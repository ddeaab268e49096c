using System;
using System.Diagnostics;
using System.Threading.Tasks;
using Google.Protobuf;
using UnityEngine.Networking;

namespace Metabridge.Transport
{
    abstract class WebCall
    {
        /// <summary>Looks at the request; true when it is over and Complete is to be called.</summary>
        internal abstract bool Step();

        internal abstract void Complete();

        internal abstract void Cancel();
    }

    sealed class WebCall<TResponse> : WebCall
        where TResponse : class, IMessage<TResponse>
    {
        readonly UnityWebRequest request;
        readonly FrameDownload<TResponse> download;
        readonly Func<TResponse> answer;
        readonly CallOptions options;
        readonly TaskCompletionSource<TResponse> source = new TaskCompletionSource<TResponse>();
        readonly Stopwatch elapsed = Stopwatch.StartNew();
        bool isLate;

        internal Task<TResponse> Task => source.Task;

        bool IsDone => request.isDone && download.IsTaken;

        internal WebCall(string url, byte[] frame, FrameDownload<TResponse> download, Func<TResponse> answer, CallOptions options)
        {
            this.download = download;
            this.answer = answer;
            this.options = options;
            request = new UnityWebRequest(url, UnityWebRequest.kHttpVerbPOST, download, new UploadHandlerRaw(frame));
            request.useHttpContinue = false;
            request.SetRequestHeader("Content-Type", "application/grpc-web+proto");
            request.SetRequestHeader("X-Grpc-Web", "1");
            foreach (var header in options.Headers()) request.SetRequestHeader(header.Key, header.Value);
            request.SendWebRequest();
        }

        internal override bool Step()
        {
            isLate = options.Timeout.HasValue && elapsed.Elapsed > options.Timeout.Value;
            bool isOver = (download.Deliver() && request.isDone) || download.Error != null;
            return isOver || isLate || options.Cancellation.IsCancellationRequested;
        }

        internal override void Complete()
        {
            if (options.Cancellation.IsCancellationRequested && !IsDone)
            {
                Cancel();
                return;
            }
            Exception error = Error();
            var message = error == null && answer != null ? answer() : null;
            Release();
            if (error != null) source.TrySetException(error);
            else if (answer != null && message == null) source.TrySetException(NoAnswer());
            else source.TrySetResult(message);
        }

        internal override void Cancel()
        {
            Release();
            source.TrySetCanceled();
        }

        Exception Error()
        {
            if (download.Error != null) return download.Error;
            if (!IsDone && isLate) return new RpcException(StatusCode.DeadlineExceeded, "no answer within " + options.Timeout);
            if (!IsAnswered())
            {
                // Before the answer's head UnityWebRequest does not tell a connection that was cut from none; its error does.
                string what = request.responseCode > 0 ? "the connection was lost to " : "no connection to ";
                return new RpcException(StatusCode.Unavailable, what + request.url + ": " + Reason());
            }
            if (!download.Reader.Trailers.HasStatus) AddHeaders();
            try
            {
                download.Reader.Finish((int)request.responseCode);
                return null;
            }
            catch (RpcException error)
            {
                return error;
            }
        }

        // An error before the first message may come in the headers alone.
        void AddHeaders()
        {
            foreach (string name in new[] { "grpc-status", "grpc-message", "grpc-status-details-bin" })
            {
                download.Reader.Trailers.Add(name, request.GetResponseHeader(name));
            }
        }

        string Reason()
        {
            return string.IsNullOrEmpty(request.error) ? "it ended without an answer" : request.error;
        }

        // A connection that ends before the answer's head is no error of UnityWebRequest's now and then, with the status 0.
        bool IsAnswered()
        {
            if (request.responseCode <= 0) return false;
#if UNITY_2020_2_OR_NEWER
            return request.result != UnityWebRequest.Result.ConnectionError;
#else
            return !request.isNetworkError;
#endif
        }

        static RpcException NoAnswer()
        {
            return new RpcException(StatusCode.Internal, "the call ended well without an answer");
        }

        void Release()
        {
            if (!request.isDone) request.Abort();
            request.Dispose();
        }
    }
}
