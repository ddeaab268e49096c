using System;

namespace Metabridge.Transport
{
    /// <summary>A call that failed: gRPC's status, the sidecar's message and, where it says so, the field at fault.</summary>
    public sealed class RpcException : Exception
    {
        public StatusCode Status { get; }

        /// <summary>What the sidecar says about the error; never null.</summary>
        public ErrorDetails Details { get; }

        /// <summary>Path of the first field at fault, <c>groups[0].agent_ids</c>; empty when none is named.</summary>
        public string Field => Details.Violations.Count > 0 ? Details.Violations[0].Field : "";

        public RpcException(StatusCode status, string message, ErrorDetails details = null, Exception inner = null)
            : base(status + ": " + message, inner)
        {
            Status = status;
            Details = details ?? ErrorDetails.None;
        }
    }
}
