using Google.Protobuf;

namespace Metabridge.Transport
{
    /// <summary>Turns the bytes of one call's answer into messages and, with gRPC-Web, the trailers in its last frame.</summary>
    public sealed class AnswerReader<TResponse>
        where TResponse : class, IMessage<TResponse>
    {
        const byte CompressedFlag = 0x01;
        const byte TrailersFlag = 0x80;

        readonly FrameReader frames;
        readonly MessageParser<TResponse> parser;

        public Trailers Trailers { get; } = new Trailers();

        public AnswerReader(MessageParser<TResponse> parser, int maxBytes)
        {
            frames = new FrameReader(maxBytes);
            this.parser = parser;
        }

        /// <summary>Takes bytes in; RpcException when too many are left unread.</summary>
        public void Append(byte[] data, int length)
        {
            frames.Append(data, length);
        }

        /// <summary>Takes the next message; false when more bytes are needed. RpcException for bytes that are none.</summary>
        public bool TryRead(out TResponse message)
        {
            message = null;
            while (frames.TryRead(out byte flags, out byte[] payload))
            {
                if ((flags & CompressedFlag) != 0)
                {
                    throw new RpcException(StatusCode.Internal, "the answer is compressed, which was not asked for");
                }
                if ((flags & TrailersFlag) == 0)
                {
                    message = Parse(payload);
                    return true;
                }
                Trailers.AddLines(payload);
            }
            return false;
        }

        /// <summary>Throws the error that the call ended with, if any.</summary>
        public void Finish(int httpStatus)
        {
            var error = Trailers.Error(httpStatus);
            if (error != null) throw error;
            if (frames.IsInsideFrame) throw new RpcException(StatusCode.Unavailable, "the answer ends within a message");
        }

        TResponse Parse(byte[] payload)
        {
            try
            {
                return parser.ParseFrom(payload);
            }
            catch (InvalidProtocolBufferException error)
            {
                string name = typeof(TResponse).Name;
                string message = payload.Length + " bytes are no " + name + "; check that both sides use the same contract";
                throw new RpcException(StatusCode.Internal, message, null, error);
            }
        }
    }
}
