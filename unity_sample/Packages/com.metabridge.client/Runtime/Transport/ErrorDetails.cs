using System;
using System.Collections.Generic;
using Google.Protobuf;

namespace Metabridge.Transport
{
    /// <summary>One field of a request that is wrong.</summary>
    public sealed class FieldViolation
    {
        public string Field { get; }

        public string Description { get; }

        internal FieldViolation(string field, string description)
        {
            Field = field;
            Description = description;
        }
    }

    /// <summary>
    /// The google.rpc details of an error: ErrorInfo's reason and domain, BadRequest's field violations. They are read field by
    /// field from the wire, so that google.rpc's messages need not be a part of the game.
    /// </summary>
    public sealed class ErrorDetails
    {
        public static readonly ErrorDetails None = new ErrorDetails();

        const string ErrorInfoType = "/google.rpc.ErrorInfo";
        const string BadRequestType = "/google.rpc.BadRequest";

        readonly List<FieldViolation> violations = new List<FieldViolation>();

        public string Reason { get; private set; } = "";

        public string Domain { get; private set; } = "";

        public IReadOnlyList<FieldViolation> Violations => violations;

        /// <summary>Reads a google.rpc.Status; details of other kinds are passed over.</summary>
        public static ErrorDetails Parse(byte[] status)
        {
            var details = new ErrorDetails();
            foreach (var detail in Fields(status, 3)) details.Add(detail);
            return details;
        }

        /// <summary>Reads the value of a grpc-status-details-bin header; what cannot be read gives no details.</summary>
        public static ErrorDetails FromHeader(string base64)
        {
            try
            {
                string padded = base64.Trim().TrimEnd('=');
                return Parse(Convert.FromBase64String(padded.PadRight((padded.Length + 3) / 4 * 4, '=')));
            }
            catch (Exception error) when (error is FormatException || error is InvalidProtocolBufferException)
            {
                return None;
            }
        }

        void Add(byte[] any)
        {
            string type = Text(any, 1);
            foreach (var value in Fields(any, 2))
            {
                if (type.EndsWith(ErrorInfoType, StringComparison.Ordinal))
                {
                    Reason = Text(value, 1);
                    Domain = Text(value, 2);
                }
                else if (type.EndsWith(BadRequestType, StringComparison.Ordinal))
                {
                    foreach (var violation in Fields(value, 1))
                    {
                        violations.Add(new FieldViolation(Text(violation, 1), Text(violation, 2)));
                    }
                }
            }
        }

        static string Text(byte[] message, int field)
        {
            var values = Fields(message, field);
            return values.Count == 0 ? "" : ByteString.CopyFrom(values[values.Count - 1]).ToStringUtf8();
        }

        static List<byte[]> Fields(byte[] message, int field)
        {
            var values = new List<byte[]>();
            var input = new CodedInputStream(message);
            uint wanted = WireFormat.MakeTag(field, WireFormat.WireType.LengthDelimited);
            for (uint tag = input.ReadTag(); tag != 0; tag = input.ReadTag())
            {
                if (tag == wanted) values.Add(input.ReadBytes().ToByteArray());
                else input.SkipLastField();
            }
            return values;
        }
    }
}
