using System.Collections.Generic;
using System.Threading.Tasks;
using Metabridge.Transport;
using Metabridge.V1;

namespace Metabridge
{
    /// <summary>Says what a sidecar serves.</summary>
    public sealed class ModelClient
    {
        readonly ModelServiceClient service;

        public ModelClient(ITransport transport)
        {
            service = new ModelServiceClient(transport);
        }

        /// <summary>Lists the bundles of a family, "avatar" or "npc", or all of them; refused ones say why in their Reason.</summary>
        public async Task<IReadOnlyList<Model>> ListAsync(string family = "", CallOptions options = default)
        {
            var response = await service.ListModelsAsync(new ListModelsRequest { Family = family }, options);
            return response.Models;
        }

        /// <summary>Describes one bundle with its graphs and its whole card; version 0 is the latest.</summary>
        public Task<GetModelResponse> GetAsync(string name, int version = 0, CallOptions options = default)
        {
            return service.GetModelAsync(new GetModelRequest { Model = Selector(name, version) }, options);
        }

        internal static ModelSelector Selector(string name, int version)
        {
            return new ModelSelector { Name = name ?? "", Version = checked((uint)version) };
        }
    }
}
