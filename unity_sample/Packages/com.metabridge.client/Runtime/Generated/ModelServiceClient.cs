// Generated from bridge/v1/model_service.proto by proto/protoc_gen_metabridge_csharp.py; never edited.
using System;
using System.Threading.Tasks;
using Metabridge.Transport;

namespace Metabridge.V1
{
    /// <summary>
    /// Lists the model bundles and shows their cards.
    /// </summary>
    public sealed class ModelServiceClient
    {
        static readonly Method<ListModelsRequest, ListModelsResponse> ListModelsMethod =
            new Method<ListModelsRequest, ListModelsResponse>("/bridge.v1.ModelService/ListModels", ListModelsResponse.Parser);

        static readonly Method<GetModelRequest, GetModelResponse> GetModelMethod =
            new Method<GetModelRequest, GetModelResponse>("/bridge.v1.ModelService/GetModel", GetModelResponse.Parser);

        readonly ITransport transport;

        /// <summary>Makes its calls over a transport, which stays the caller's to dispose of.</summary>
        public ModelServiceClient(ITransport transport)
        {
            this.transport = transport;
        }

        /// <summary>
        /// Lists every bundle found in the models folder, those that do not serve with the reason.
        /// </summary>
        public Task<ListModelsResponse> ListModelsAsync(ListModelsRequest request, CallOptions options = default)
        {
            return transport.UnaryAsync(ListModelsMethod, request, options);
        }

        /// <summary>
        /// Shows one bundle with its tensors and its whole card. NOT_FOUND for a name or a version that is not there.
        /// </summary>
        public Task<GetModelResponse> GetModelAsync(GetModelRequest request, CallOptions options = default)
        {
            return transport.UnaryAsync(GetModelMethod, request, options);
        }
    }
}
