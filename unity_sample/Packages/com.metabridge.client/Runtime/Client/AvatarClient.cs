using System;
using System.Collections.Generic;
using System.Threading.Tasks;
using Metabridge.Internal;
using Metabridge.Transport;
using Metabridge.V1;

namespace Metabridge
{
    /// <summary>Generates avatars: the same model, seed and settings give the same picture.</summary>
    public sealed class AvatarClient
    {
        readonly AvatarServiceClient service;

        public AvatarClient(ITransport transport)
        {
            service = new AvatarServiceClient(transport);
        }

        /// <summary>Generates one avatar a seed in one message, which holds up to 4 MiB.</summary>
        public Task<AvatarImage[]> GenerateAsync(
            IEnumerable<ulong> seeds, AvatarSettings settings, CallOptions options = default)
        {
            return Generate(settings.Spec(seeds), settings, options);
        }

        /// <summary>Generates the avatars that have these styles, in one message.</summary>
        public Task<AvatarImage[]> GenerateAsync(
            IReadOnlyList<AvatarStyles> styles, AvatarSettings settings, CallOptions options = default)
        {
            return Generate(settings.Spec(styles), settings, options);
        }

        /// <summary>
        /// Generates one avatar a seed, of any size and number, and hands over each when it is whole; the thread is the transport's.
        /// </summary>
        public Task StreamAsync(
            IEnumerable<ulong> seeds, AvatarSettings settings, Action<AvatarImage> onAvatar, CallOptions options = default)
        {
            return Stream(settings.Spec(seeds), settings, onAvatar, options);
        }

        /// <summary>Generates the avatars that have these styles, of any size and number, one after another.</summary>
        public Task StreamAsync(
            IReadOnlyList<AvatarStyles> styles, AvatarSettings settings, Action<AvatarImage> onAvatar, CallOptions options = default)
        {
            return Stream(settings.Spec(styles), settings, onAvatar, options);
        }

        /// <summary>
        /// Finds the avatar that is nearest to a picture and applies the settings' controls to it; their truncation and mix have no
        /// part in it. 0 refine steps are the model's default.
        /// </summary>
        public async Task<AvatarProjection> ProjectAsync(
            AvatarPicture picture, AvatarSettings settings, ulong seed = 0, int refineSteps = 0, CallOptions options = default)
        {
            var request = new ProjectAvatarRequest
            {
                Model = Selector(settings),
                RefineSteps = checked((uint)refineSteps),
                Seed = seed,
                Image = settings.ImageSpec(),
            };
            request.Controls.Add(settings.Controls);
            picture.Fill(request);
            var response = await service.ProjectAvatarAsync(request, options);
            return new AvatarProjection(Image(response.Avatar, response.Model), response.PixelDistance);
        }

        /// <summary>
        /// Generates the frames of a morph through the avatars of these seeds and hands over each when it is whole. Nothing more is
        /// read before the callback's task is done; the thread is the transport's. A call lasts as long as its morph.
        /// </summary>
        public Task MorphAsync(
            IEnumerable<ulong> seeds,
            AvatarSettings settings,
            MorphSettings morph,
            Func<AvatarFrame, Task> onFrame,
            CallOptions options = default)
        {
            return Morph(morph.Request(Selector(settings), settings.Spec(seeds)), onFrame, options);
        }

        /// <summary>Generates the frames of a morph through the avatars that have these styles.</summary>
        public Task MorphAsync(
            IReadOnlyList<AvatarStyles> styles,
            AvatarSettings settings,
            MorphSettings morph,
            Func<AvatarFrame, Task> onFrame,
            CallOptions options = default)
        {
            return Morph(morph.Request(Selector(settings), settings.Spec(styles)), onFrame, options);
        }

        async Task<AvatarImage[]> Generate(AvatarSpec spec, AvatarSettings settings, CallOptions options)
        {
            var request = new GenerateAvatarsRequest { Model = Selector(settings), Spec = spec };
            var response = await service.GenerateAvatarsAsync(request, options);
            var images = new AvatarImage[response.Avatars.Count];
            for (int i = 0; i < images.Length; i++) images[i] = Image(response.Avatars[i], response.Model);
            return images;
        }

        Task Stream(AvatarSpec spec, AvatarSettings settings, Action<AvatarImage> onAvatar, CallOptions options)
        {
            var request = new StreamAvatarsRequest { Model = Selector(settings), Spec = spec };
            var chunks = new ImageChunks();
            Func<StreamAvatarsResponse, Task> collect = message =>
            {
                if (chunks.Add(message.Avatar.Image.Data, message.ChunkIndex, message.ChunkCount))
                {
                    onAvatar(new AvatarImage(message.Avatar, chunks.ToArray(), message.Model));
                }
                return Task.CompletedTask;
            };
            return service.StreamAvatarsAsync(request, collect, options);
        }

        Task Morph(MorphAvatarRequest request, Func<AvatarFrame, Task> onFrame, CallOptions options)
        {
            var chunks = new ImageChunks();
            Func<MorphAvatarResponse, Task> collect = message =>
            {
                bool isWhole = chunks.Add(message.Avatar.Image.Data, message.ChunkIndex, message.ChunkCount);
                return isWhole ? onFrame(new AvatarFrame(message, chunks)) : Task.CompletedTask;
            };
            return service.MorphAvatarAsync(request, collect, options);
        }

        static ModelSelector Selector(AvatarSettings settings)
        {
            return ModelClient.Selector(settings.Model, settings.Version);
        }

        static AvatarImage Image(Avatar avatar, ServedBy model)
        {
            return new AvatarImage(avatar, avatar.Image.Data.ToByteArray(), model);
        }
    }
}
