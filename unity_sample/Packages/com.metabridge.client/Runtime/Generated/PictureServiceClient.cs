// Generated from bridge/v1/picture_service.proto by proto/protoc_gen_metabridge_csharp.py; never edited.
using System;
using System.Threading.Tasks;
using Metabridge.Transport;

namespace Metabridge.V1
{
    /// <summary>
    /// Compresses pictures. The same bundle and picture give the same codes, the same codes the same picture.
    /// </summary>
    public sealed class PictureServiceClient
    {
        static readonly Method<EncodePicturesRequest, EncodePicturesResponse> EncodePicturesMethod =
            new Method<EncodePicturesRequest, EncodePicturesResponse>("/bridge.v1.PictureService/EncodePictures", EncodePicturesResponse.Parser);

        static readonly Method<DecodePicturesRequest, DecodePicturesResponse> DecodePicturesMethod =
            new Method<DecodePicturesRequest, DecodePicturesResponse>("/bridge.v1.PictureService/DecodePictures", DecodePicturesResponse.Parser);

        readonly ITransport transport;

        /// <summary>Makes its calls over a transport, which stays the caller's to dispose of.</summary>
        public PictureServiceClient(ITransport transport)
        {
            this.transport = transport;
        }

        /// <summary>
        /// Turns pictures into codes.
        /// </summary>
        public Task<EncodePicturesResponse> EncodePicturesAsync(EncodePicturesRequest request, CallOptions options = default)
        {
            return transport.UnaryAsync(EncodePicturesMethod, request, options);
        }

        /// <summary>
        /// Turns codes into pictures, in one message of at most 4 MiB; RESOURCE_EXHAUSTED when they would not fit.
        /// </summary>
        public Task<DecodePicturesResponse> DecodePicturesAsync(DecodePicturesRequest request, CallOptions options = default)
        {
            return transport.UnaryAsync(DecodePicturesMethod, request, options);
        }
    }
}
