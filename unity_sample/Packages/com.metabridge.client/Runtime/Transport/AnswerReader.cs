using System;
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
        readonly Action<TResponse> onMessage;

        public Trailers Trailers { get; } = new Trailers();

        public AnswerReader(MessageParser<TResponse> parser, Action<TResponse> onMessage, int maxBytes)
        {
            frames = new FrameReader(maxBytes);
            this.parser = parser;
            this.onMessage = onMessage;
        }

        /// <summary>Reads on; RpcException for bytes that are no frames or no messages.</summary>
        public void Append(byte[] data, int length)
        {
            frames.Append(data, length);
            while (frames.TryRead(out byte flags, out byte[] payload))
            {
                if ((flags & CompressedFlag) != 0)
                {
                    throw new RpcException(StatusCode.Internal, "the answer is compressed, which was not asked for");
                }
                if ((flags & TrailersFlag) != 0) Trailers.AddLines(payload);
                else onMessage(Parse(payload));
            }
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
