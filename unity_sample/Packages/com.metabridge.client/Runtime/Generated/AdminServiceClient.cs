// Generated from bridge/v1/admin_service.proto by proto/protoc_gen_metabridge_csharp.py; never edited.
using System;
using System.Threading.Tasks;
using Metabridge.Transport;

namespace Metabridge.V1
{
    /// <summary>
    /// Loads and unloads bundles. Served only when the sidecar has an admin token; every call carries it as
    /// "authorization: Bearer &lt;token>", else UNAUTHENTICATED.
    /// </summary>
    public sealed class AdminServiceClient
    {
        static readonly Method<ReloadModelsRequest, ReloadModelsResponse> ReloadModelsMethod =
            new Method<ReloadModelsRequest, ReloadModelsResponse>("/bridge.v1.AdminService/ReloadModels", ReloadModelsResponse.Parser);

        static readonly Method<LoadModelRequest, LoadModelResponse> LoadModelMethod =
            new Method<LoadModelRequest, LoadModelResponse>("/bridge.v1.AdminService/LoadModel", LoadModelResponse.Parser);

        static readonly Method<UnloadModelRequest, UnloadModelResponse> UnloadModelMethod =
            new Method<UnloadModelRequest, UnloadModelResponse>("/bridge.v1.AdminService/UnloadModel", UnloadModelResponse.Parser);

        readonly ITransport transport;

        /// <summary>Makes its calls over a transport, which stays the caller's to dispose of.</summary>
        public AdminServiceClient(ITransport transport)
        {
            this.transport = transport;
        }

        /// <summary>
        /// Looks at the models folder now: loads what is new, takes out what is gone, and tries refused bundles again.
        /// </summary>
        public Task<ReloadModelsResponse> ReloadModelsAsync(ReloadModelsRequest request, CallOptions options = default)
        {
            return transport.UnaryAsync(ReloadModelsMethod, request, options);
        }

        /// <summary>
        /// Loads one bundle afresh, even where the version policy left it out, and swaps it in. NOT_FOUND for a folder that is not
        /// there; FAILED_PRECONDITION for a bundle that is refused, which leaves in service what was.
        /// </summary>
        public Task<LoadModelResponse> LoadModelAsync(LoadModelRequest request, CallOptions options = default)
        {
            return transport.UnaryAsync(LoadModelMethod, request, options);
        }

        /// <summary>
        /// Takes one bundle out of service until LoadModel or a restart; calls that began with it are finished. NOT_FOUND for one
        /// that is not in service.
        /// </summary>
        public Task<UnloadModelResponse> UnloadModelAsync(UnloadModelRequest request, CallOptions options = default)
        {
            return transport.UnaryAsync(UnloadModelMethod, request, options);
        }
    }
}
