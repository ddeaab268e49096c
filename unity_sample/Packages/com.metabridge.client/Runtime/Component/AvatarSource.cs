using System;
using System.Threading.Tasks;
using Metabridge.Transport;
using UnityEngine;

namespace Metabridge
{
    /// <summary>
    /// Keeps a texture of the avatar that belongs to a seed. It asks again when a property changes and, while the sidecar cannot be
    /// reached, until it can; the last texture stays until the next one is there.
    /// </summary>
    [AddComponentMenu("Metabridge/Avatar Source")]
    public sealed class AvatarSource : MonoBehaviour
    {
        [SerializeField] string address = "http://127.0.0.1:50052";
        [SerializeField] string model = "pixel";
        [SerializeField] long seed = 0;
        [SerializeField, Range(0f, 2f)] float truncation = 0.7f;
        [SerializeField] float timeoutSeconds = 10f;

        readonly SidecarLink link = new SidecarLink();
        Task<AvatarImage[]> call;
        bool isStale = true;

        /// <summary>A new texture is there.</summary>
        public event Action<Texture2D> Changed;

        /// <summary>A call failed; it is made again after a pause.</summary>
        public event Action<Exception> Failed { add => link.Failed += value; remove => link.Failed -= value; }

        /// <summary>The first call after failed ones succeeded.</summary>
        public event Action Recovered { add => link.Recovered += value; remove => link.Recovered -= value; }

        /// <summary>Address of the sidecar's web port.</summary>
        public string Address { get => address; set { address = value; Restart(); } }

        /// <summary>Name of the avatar model.</summary>
        public string Model { get => model; set { model = value; isStale = true; } }

        /// <summary>The seed; a negative number stands for the unsigned one with the same bits.</summary>
        public long Seed { get => seed; set { seed = value; isStale = true; } }

        /// <summary>0 gives the average avatar, 1 the full variety; up to 2.</summary>
        public float Truncation { get => truncation; set { truncation = value; isStale = true; } }

        /// <summary>The avatar, or null until the first answer; it belongs to this component and is reused.</summary>
        public Texture2D Texture { get; private set; }

        public SidecarStatus Status => link.Status;

        /// <summary>Why the last call failed; null after one that succeeded.</summary>
        public Exception LastError => link.LastError;

        /// <summary>Calls over a transport of the caller's in place of gRPC-Web; the caller disposes of it.</summary>
        public void Use(ITransport transport)
        {
            call = null;
            isStale = true;
            link.Use(transport);
        }

        void OnEnable()
        {
            isStale = true;
        }

        void OnDisable()
        {
            call = null;
            link.Release();
        }

        void OnDestroy()
        {
            if (Texture != null) Destroy(Texture);
        }

        void OnValidate()
        {
            isStale = true;
        }

        void Update()
        {
            if (call != null && call.IsCompleted) End();
            if (call == null && isStale && link.IsReady) Begin();
        }

        void Restart()
        {
            call = null;
            isStale = true;
            link.Release();
        }

        void Begin()
        {
            isStale = false;
            var settings = new AvatarSettings { Model = model, Truncation = truncation };
            var options = new CallOptions(TimeSpan.FromSeconds(timeoutSeconds));
            call = new AvatarClient(link.Transport(address)).GenerateAsync(new[] { unchecked((ulong)seed) }, settings, options);
        }

        void End()
        {
            var ended = call;
            call = null;
            if (ended.IsFaulted || ended.IsCanceled)
            {
                isStale = true;
                link.Fail(ended.Exception?.GetBaseException() ?? new OperationCanceledException());
                return;
            }
            Load(ended.Result[0]);
            link.Succeed();
            Changed?.Invoke(Texture);
        }

        void Load(AvatarImage image)
        {
            if (Texture == null || Texture.width != image.Width || Texture.height != image.Height)
            {
                if (Texture != null) Destroy(Texture);
                Texture = new Texture2D(image.Width, image.Height, TextureFormat.RGBA32, false) { filterMode = FilterMode.Point };
            }
            Texture.LoadRawTextureData(image.Data);
            Texture.Apply(false);
        }
    }
}
