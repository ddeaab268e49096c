using System;
using System.Collections.Generic;
using System.Globalization;
using System.Text;

namespace Metabridge.Transport
{
    /// <summary>The headers that end a call, by lower-case name, and the status in them.</summary>
    public sealed class Trailers
    {
        readonly Dictionary<string, string> values = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);

        public bool HasStatus => values.ContainsKey("grpc-status");

        public void Add(string name, string value)
        {
            if (value != null) values[name.Trim()] = value.Trim();
        }

        /// <summary>Adds the lines of a gRPC-Web trailer frame.</summary>
        public void AddLines(byte[] frame)
        {
            foreach (var line in Encoding.UTF8.GetString(frame, 0, frame.Length).Split('\n'))
            {
                int colon = line.IndexOf(':');
                if (colon > 0) Add(line.Substring(0, colon), line.Substring(colon + 1));
            }
        }

        /// <summary>Returns the error that the call ended with, or null; without a status the HTTP status decides.</summary>
        public RpcException Error(int httpStatus)
        {
            if (!values.TryGetValue("grpc-status", out string text)) return WithoutStatus(httpStatus);
            bool isNumber = int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number);
            var status = isNumber && Enum.IsDefined(typeof(StatusCode), number) ? (StatusCode)number : StatusCode.Unknown;
            if (isNumber && status == StatusCode.OK) return null;
            values.TryGetValue("grpc-message", out string message);
            var details = values.TryGetValue("grpc-status-details-bin", out string bin) ? ErrorDetails.FromHeader(bin) : null;
            return new RpcException(status, Uri.UnescapeDataString(message ?? ""), details);
        }

        static RpcException WithoutStatus(int httpStatus)
        {
            string message = httpStatus == 200
                ? "the answer ends without a status: the connection was lost on the way"
                : "the server answered with HTTP " + httpStatus + " and no gRPC status; check that the address is a sidecar's";
            return new RpcException(FromHttp(httpStatus), message);
        }

        static StatusCode FromHttp(int httpStatus)
        {
            switch (httpStatus)
            {
                case 400: return StatusCode.Internal;
                case 401: return StatusCode.Unauthenticated;
                case 403: return StatusCode.PermissionDenied;
                case 404: return StatusCode.Unimplemented;
                case 200:
                case 429:
                case 502:
                case 503:
                case 504: return StatusCode.Unavailable;
                default: return StatusCode.Unknown;
            }
        }
    }
}
