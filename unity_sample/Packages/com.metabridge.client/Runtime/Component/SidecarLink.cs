using System;
using Metabridge.Transport;
using UnityEngine;

namespace Metabridge
{
    /// <summary>
    /// A component's way to its sidecar: the transport, made at the first call and disposed of at the end unless it was given,
    /// the status, and when to try again after a failure.
    /// </summary>
    sealed class SidecarLink
    {
        const float FirstPause = 0.1f;
        const float LongestPause = 2f;

        ITransport given;
        ITransport own;
        float pause = FirstPause;
        float notBefore;

        internal SidecarStatus Status { get; private set; }

        internal Exception LastError { get; private set; }

        internal event Action<Exception> Failed;

        internal event Action Recovered;

        /// <summary>Whether a call may be made now: at once while calls succeed, after a growing pause when they fail.</summary>
        internal bool IsReady => Time.realtimeSinceStartup >= notBefore;

        internal ITransport Transport(string address)
        {
            return given ?? (own ?? (own = new UnityWebRequestTransport(address)));
        }

        /// <summary>Uses a transport of the caller's, who disposes of it; null goes back to gRPC-Web.</summary>
        internal void Use(ITransport transport)
        {
            Release();
            given = transport;
        }

        internal void Succeed()
        {
            bool hadFailed = Status == SidecarStatus.Failed;
            Status = SidecarStatus.Connected;
            LastError = null;
            pause = FirstPause;
            notBefore = 0f;
            if (hadFailed) Recovered?.Invoke();
        }

        internal void Fail(Exception error)
        {
            Status = SidecarStatus.Failed;
            LastError = error;
            notBefore = Time.realtimeSinceStartup + pause;
            pause = Mathf.Min(LongestPause, 2f * pause);
            Failed?.Invoke(error);
        }

        /// <summary>Disposes of the transport made here; the next call makes a new one.</summary>
        internal void Release()
        {
            Detach()?.Dispose();
        }

        /// <summary>Gives the transport made here, if any, to the caller, who disposes of it.</summary>
        internal ITransport Detach()
        {
            var detached = own;
            own = null;
            pause = FirstPause;
            notBefore = 0f;
            return detached;
        }
    }
}
