// Generated from bridge/v1/scene_service.proto by proto/protoc_gen_metabridge_csharp.py; never edited.
using System;
using System.Threading.Tasks;
using Metabridge.Transport;

namespace Metabridge.V1
{
    /// <summary>
    /// Makes worlds. The same bundle, seed, conditions and coordinate give the same tile, bit by bit, whatever was asked for before. Vertices
    /// that neighbours share have the same bits in both.
    /// </summary>
    public sealed class SceneServiceClient
    {
        static readonly Method<GenerateSceneRequest, GenerateSceneResponse> GenerateSceneMethod =
            new Method<GenerateSceneRequest, GenerateSceneResponse>("/bridge.v1.SceneService/GenerateScene", GenerateSceneResponse.Parser);

        static readonly Method<ExtendSceneRequest, ExtendSceneResponse> ExtendSceneMethod =
            new Method<ExtendSceneRequest, ExtendSceneResponse>("/bridge.v1.SceneService/ExtendScene", ExtendSceneResponse.Parser);

        static readonly Method<EditSceneRequest, EditSceneResponse> EditSceneMethod =
            new Method<EditSceneRequest, EditSceneResponse>("/bridge.v1.SceneService/EditScene", EditSceneResponse.Parser);

        static readonly Method<EncodeSceneRequest, EncodeSceneResponse> EncodeSceneMethod =
            new Method<EncodeSceneRequest, EncodeSceneResponse>("/bridge.v1.SceneService/EncodeScene", EncodeSceneResponse.Parser);

        static readonly Method<StreamScenesRequest, StreamScenesResponse> StreamScenesMethod =
            new Method<StreamScenesRequest, StreamScenesResponse>("/bridge.v1.SceneService/StreamScenes", StreamScenesResponse.Parser);

        readonly ITransport transport;

        /// <summary>Makes its calls over a transport, which stays the caller's to dispose of.</summary>
        public SceneServiceClient(ITransport transport)
        {
            this.transport = transport;
        }

        /// <summary>
        /// Generates tiles of endless worlds in one message of at most 4 MiB; RESOURCE_EXHAUSTED names StreamScenes when it would be larger. The
        /// first tile of a world may cost up to nine, since it fits its neighbours; later ones come from a cache.
        /// </summary>
        public Task<GenerateSceneResponse> GenerateSceneAsync(GenerateSceneRequest request, CallOptions options = default)
        {
            return transport.UnaryAsync(GenerateSceneMethod, request, options);
        }

        /// <summary>
        /// Generates one tile that fits the neighbours that are given.
        /// </summary>
        public Task<ExtendSceneResponse> ExtendSceneAsync(ExtendSceneRequest request, CallOptions options = default)
        {
            return transport.UnaryAsync(ExtendSceneMethod, request, options);
        }

        /// <summary>
        /// Generates a part of a tile anew; everything outside the mask keeps its bits, and so do the vertices of the tile's edge. With its
        /// neighbours at hand, what is new at the edge continues them.
        /// </summary>
        public Task<EditSceneResponse> EditSceneAsync(EditSceneRequest request, CallOptions options = default)
        {
            return transport.UnaryAsync(EditSceneMethod, request, options);
        }

        /// <summary>
        /// Turns height maps into codes: a few hundred bytes a tile, from which GenerateScene and StreamScenes make about the same tile again.
        /// </summary>
        public Task<EncodeSceneResponse> EncodeSceneAsync(EncodeSceneRequest request, CallOptions options = default)
        {
            return transport.UnaryAsync(EncodeSceneMethod, request, options);
        }

        /// <summary>
        /// Generates tiles of an endless world and sends each as soon as it is ready, so one that is quick overtakes one that waits for its
        /// neighbours. A client that takes them slowly slows the sidecar down: it works only a few tiles ahead. Saved tiles come back by it too.
        /// </summary>
        public Task StreamScenesAsync(StreamScenesRequest request, Func<StreamScenesResponse, Task> onMessage, CallOptions options = default)
        {
            return transport.ServerStreamAsync(StreamScenesMethod, request, onMessage, options);
        }
    }
}
