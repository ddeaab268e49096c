using Google.Protobuf;

namespace Metabridge.Transport
{
    /// <summary>One method of a service: where its requests go and how its answers are read.</summary>
    public sealed class Method<TRequest, TResponse>
        where TRequest : class, IMessage<TRequest>
        where TResponse : class, IMessage<TResponse>
    {
        public string Path { get; }

        public MessageParser<TResponse> Parser { get; }

        public Method(string path, MessageParser<TResponse> parser)
        {
            Path = path;
            Parser = parser;
        }
    }
}
