using System;
using System.Collections.Generic;
using System.Globalization;
using System.Threading;

namespace Metabridge.Transport
{
    /// <summary>What a caller may say about one call; the default is no deadline, no cancellation, no metadata.</summary>
    public readonly struct CallOptions
    {
        /// <summary>How long the call may take, its streaming included; null means for ever.</summary>
        public TimeSpan? Timeout { get; }

        public CancellationToken Cancellation { get; }

        /// <summary>Headers to send along, lower-case names with printable ASCII values; may be null.</summary>
        public IReadOnlyDictionary<string, string> Metadata { get; }

        public CallOptions(
            TimeSpan? timeout = null,
            CancellationToken cancellation = default,
            IReadOnlyDictionary<string, string> metadata = null)
        {
            if (timeout.HasValue && timeout.Value <= TimeSpan.Zero)
            {
                throw new ArgumentOutOfRangeException(nameof(timeout), timeout, "a timeout is longer than zero");
            }
            Timeout = timeout;
            Cancellation = cancellation;
            Metadata = metadata;
        }

        /// <summary>The headers of the call: the metadata and, with a timeout, grpc-timeout.</summary>
        public IEnumerable<KeyValuePair<string, string>> Headers()
        {
            if (Timeout.HasValue)
            {
                yield return new KeyValuePair<string, string>("grpc-timeout", FormatTimeout(Timeout.Value));
            }
            if (Metadata == null) yield break;
            foreach (var pair in Metadata) yield return pair;
        }

        // The number has at most eight digits: milliseconds up to a day, seconds beyond.
        static string FormatTimeout(TimeSpan timeout)
        {
            double milliseconds = Math.Max(1, Math.Ceiling(timeout.TotalMilliseconds));
            if (milliseconds < 1e8) return milliseconds.ToString("0", CultureInfo.InvariantCulture) + "m";
            return Math.Min(99999999, timeout.TotalSeconds).ToString("0", CultureInfo.InvariantCulture) + "S";
        }
    }
}
