using System;
using System.Collections.Generic;
using System.IO;
using System.Threading.Tasks;
using Metabridge.Transport;
using Metabridge.V1;

namespace Metabridge
{
    /// <summary>What all avatars of one call have in common; the defaults are what a texture wants.</summary>
    public sealed class AvatarSettings
    {
        /// <summary>Name of the model; required.</summary>
        public string Model { get; set; } = "";

        /// <summary>Version of the model; 0 is the latest.</summary>
        public int Version { get; set; }

        /// <summary>0 gives the average avatar, 1 the full variety; null is the model's default.</summary>
        public float? Truncation { get; set; }

        /// <summary>How the pixels come; RGBA8 comes with the bottom row first.</summary>
        public ImageFormat Format { get; set; } = ImageFormat.Rgba8;

        /// <summary>Width and height in pixels, a power of two from 8 to 4096; 0 is the model's own size.</summary>
        public int Size { get; set; }

        /// <summary>Number of mip levels; more than 1 is for RGBA8 alone.</summary>
        public int MipLevels { get; set; } = 1;
    }

    /// <summary>Generates avatars: the same model, seed and settings give the same picture.</summary>
    public sealed class AvatarClient
    {
        readonly AvatarServiceClient service;

        public AvatarClient(ITransport transport)
        {
            service = new AvatarServiceClient(transport);
        }

        /// <summary>Generates one avatar a seed in one message, which holds up to 4 MiB.</summary>
        public async Task<AvatarImage[]> GenerateAsync(
            IEnumerable<ulong> seeds, AvatarSettings settings, CallOptions options = default)
        {
            var request = new GenerateAvatarsRequest
            {
                Model = ModelClient.Selector(settings.Model, settings.Version),
                Spec = Spec(seeds, settings),
            };
            var response = await service.GenerateAvatarsAsync(request, options);
            var images = new AvatarImage[response.Avatars.Count];
            for (int i = 0; i < images.Length; i++)
            {
                var avatar = response.Avatars[i];
                images[i] = new AvatarImage(avatar, avatar.Image.Data.ToByteArray(), response.Model);
            }
            return images;
        }

        /// <summary>
        /// Generates one avatar a seed, of any size and number, and hands over each when it is whole; the thread is the transport's.
        /// </summary>
        public Task StreamAsync(
            IEnumerable<ulong> seeds, AvatarSettings settings, Action<AvatarImage> onAvatar, CallOptions options = default)
        {
            var request = new StreamAvatarsRequest
            {
                Model = ModelClient.Selector(settings.Model, settings.Version),
                Spec = Spec(seeds, settings),
            };
            var chunks = new MemoryStream();
            return service.StreamAvatarsAsync(request, message => Collect(message, chunks, onAvatar), options);
        }

        static void Collect(StreamAvatarsResponse message, MemoryStream chunks, Action<AvatarImage> onAvatar)
        {
            message.Avatar.Image.Data.WriteTo(chunks);
            if (message.ChunkIndex + 1 < message.ChunkCount) return;
            byte[] data = chunks.ToArray();
            chunks.SetLength(0);
            onAvatar(new AvatarImage(message.Avatar, data, message.Model));
        }

        static AvatarSpec Spec(IEnumerable<ulong> seeds, AvatarSettings settings)
        {
            var origin = settings.Format == ImageFormat.Rgba8 ? RowOrigin.BottomLeft : RowOrigin.TopLeft;
            var spec = new AvatarSpec
            {
                Image = new ImageSpec
                {
                    Format = settings.Format,
                    RowOrigin = origin,
                    SizePx = checked((uint)settings.Size),
                    MipLevels = checked((uint)settings.MipLevels),
                },
            };
            if (settings.Truncation.HasValue) spec.Truncation = new Truncation { Psi = settings.Truncation.Value };
            spec.Seeds.AddRange(seeds);
            return spec;
        }
    }
}
