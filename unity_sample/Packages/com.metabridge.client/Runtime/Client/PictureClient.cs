using System;
using System.Collections.Generic;
using System.Threading.Tasks;
using Google.Protobuf;
using Metabridge.Internal;
using Metabridge.Transport;
using Metabridge.V1;

namespace Metabridge
{
    /// <summary>Turns pictures into a few codes and back, to save or send them.</summary>
    public sealed class PictureClient
    {
        readonly PictureServiceClient service;

        public PictureClient(ITransport transport)
        {
            service = new PictureServiceClient(transport);
        }

        /// <summary>
        /// Returns the codes of picture files: PNG, JPEG, WebP, BMP or GIF. The square in the middle of each is taken and resized to
        /// the model's size.
        /// </summary>
        public async Task<EncodedPicture[]> EncodeAsync(
            IEnumerable<byte[]> files, PictureSettings settings, CallOptions options = default)
        {
            var request = new EncodePicturesRequest { Model = settings.Selector() };
            foreach (var file in files) request.Files.Add(ByteString.CopyFrom(file));
            var response = await service.EncodePicturesAsync(request, options);
            var codes = Tensors.ToUShorts(response.Codes, "codes");
            var encoded = new EncodedPicture[response.PixelDistances.Count];
            for (int i = 0; i < encoded.Length; i++)
            {
                var own = new ushort[codes.Length / encoded.Length];
                Array.Copy(codes, i * own.Length, own, 0, own.Length);
                encoded[i] = new EncodedPicture(own, response.PixelDistances[i]);
            }
            return encoded;
        }

        /// <summary>Returns the pictures of codes, one array a picture. ArgumentException when their numbers differ.</summary>
        public async Task<DecodedPicture[]> DecodeAsync(
            IReadOnlyList<ushort[]> codes, PictureSettings settings, CallOptions options = default)
        {
            var joined = new List<ushort>();
            foreach (var picture in codes) joined.AddRange(picture);
            int side = codes.Count == 0 ? 0 : (int)Math.Round(Math.Sqrt(codes[0].Length));
            var request = new DecodePicturesRequest
            {
                Model = settings.Selector(),
                Codes = Tensors.FromUShorts(joined.ToArray(), codes.Count, side, side),
                Image = settings.ImageSpec(),
            };
            var response = await service.DecodePicturesAsync(request, options);
            var pictures = new DecodedPicture[response.Images.Count];
            for (int i = 0; i < pictures.Length; i++) pictures[i] = new DecodedPicture(response.Images[i], response.Model);
            return pictures;
        }
    }
}
