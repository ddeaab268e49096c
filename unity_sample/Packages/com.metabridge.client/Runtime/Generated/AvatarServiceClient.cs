// Generated from bridge/v1/avatar_service.proto by proto/protoc_gen_metabridge_csharp.py; never edited.
using System;
using System.Threading.Tasks;
using Metabridge.Transport;

namespace Metabridge.V1
{
    /// <summary>
    /// Generates avatars. The same bundle, seed and settings give the same picture, alone or in a batch.
    /// </summary>
    public sealed class AvatarServiceClient
    {
        static readonly Method<GenerateAvatarsRequest, GenerateAvatarsResponse> GenerateAvatarsMethod =
            new Method<GenerateAvatarsRequest, GenerateAvatarsResponse>("/bridge.v1.AvatarService/GenerateAvatars", GenerateAvatarsResponse.Parser);

        static readonly Method<StreamAvatarsRequest, StreamAvatarsResponse> StreamAvatarsMethod =
            new Method<StreamAvatarsRequest, StreamAvatarsResponse>("/bridge.v1.AvatarService/StreamAvatars", StreamAvatarsResponse.Parser);

        static readonly Method<ProjectAvatarRequest, ProjectAvatarResponse> ProjectAvatarMethod =
            new Method<ProjectAvatarRequest, ProjectAvatarResponse>("/bridge.v1.AvatarService/ProjectAvatar", ProjectAvatarResponse.Parser);

        static readonly Method<MorphAvatarRequest, MorphAvatarResponse> MorphAvatarMethod =
            new Method<MorphAvatarRequest, MorphAvatarResponse>("/bridge.v1.AvatarService/MorphAvatar", MorphAvatarResponse.Parser);

        readonly ITransport transport;

        /// <summary>Makes its calls over a transport, which stays the caller's to dispose of.</summary>
        public AvatarServiceClient(ITransport transport)
        {
            this.transport = transport;
        }

        /// <summary>
        /// Generates a batch of avatars in one message of at most 4 MiB; RESOURCE_EXHAUSTED names StreamAvatars when it would be larger.
        /// </summary>
        public Task<GenerateAvatarsResponse> GenerateAvatarsAsync(GenerateAvatarsRequest request, CallOptions options = default)
        {
            return transport.UnaryAsync(GenerateAvatarsMethod, request, options);
        }

        /// <summary>
        /// Generates a batch of avatars of any size and sends them one after another, large ones in chunks.
        /// </summary>
        public Task StreamAvatarsAsync(StreamAvatarsRequest request, Func<StreamAvatarsResponse, Task> onMessage, CallOptions options = default)
        {
            return transport.ServerStreamAsync(StreamAvatarsMethod, request, onMessage, options);
        }

        /// <summary>
        /// Finds the avatar that is nearest to a picture. FAILED_PRECONDITION for a model without an encoder.
        /// </summary>
        public Task<ProjectAvatarResponse> ProjectAvatarAsync(ProjectAvatarRequest request, CallOptions options = default)
        {
            return transport.UnaryAsync(ProjectAvatarMethod, request, options);
        }

        /// <summary>
        /// Generates the frames of a smooth path through two or more avatars and sends them one after another, none left out. A client that
        /// takes them slowly slows the sidecar down: it works only a few frames ahead.
        /// </summary>
        public Task MorphAvatarAsync(MorphAvatarRequest request, Func<MorphAvatarResponse, Task> onMessage, CallOptions options = default)
        {
            return transport.ServerStreamAsync(MorphAvatarMethod, request, onMessage, options);
        }
    }
}
