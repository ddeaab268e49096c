using System;
using System.Collections.Generic;
using System.Threading.Tasks;
using Metabridge.Transport;
using UnityEngine;

namespace Metabridge
{
    /// <summary>
    /// Keeps a texture of the avatar that belongs to a seed, to styles, or to a picture. It asks again when a property changes, one
    /// call at a time with the newest values, and, while the sidecar cannot be reached, until it can; the last texture stays until
    /// the next one is there.
    /// </summary>
    [AddComponentMenu("Metabridge/Avatar Source")]
    public sealed class AvatarSource : MonoBehaviour
    {
        [SerializeField] string address = "http://127.0.0.1:50052";
        [SerializeField] string model = "pixel";
        [SerializeField] long seed = 0;
        [SerializeField, Tooltip("Off: the model's own truncation.")] bool ownTruncation;
        [SerializeField, Range(0f, 2f)] float truncation = 1f;
        [SerializeField] List<AvatarControl> controls = new List<AvatarControl>();
        [SerializeField] float timeoutSeconds = 10f;

        readonly SidecarLink link = new SidecarLink();
        AvatarStyles styles;
        AvatarPicture picture;
        AvatarPicture asked;
        Task<AvatarImage[]> call;
        Task<AvatarProjection> projection;
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

        /// <summary>The seed; a negative number stands for the unsigned one with the same bits. Set, it takes the place of styles.</summary>
        public long Seed { get => seed; set { seed = value; Show(null, null); } }

        /// <summary>The styles in place of the seed; null for none. A projection sets them.</summary>
        public AvatarStyles Styles { get => styles; set => Show(value, null); }

        /// <summary>0 gives the average avatar, 1 the full variety; up to 2; null leaves it to the model. Styles stay as they are.</summary>
        public float? Truncation
        {
            get => ownTruncation ? truncation : (float?)null;
            set { ownTruncation = value.HasValue; truncation = value ?? truncation; isStale = true; }
        }

        /// <summary>The avatar, or null until the first answer; it belongs to this component and is reused.</summary>
        public Texture2D Texture { get; private set; }

        /// <summary>How far the last projection is from its picture, from 0 to 1; NaN before the first.</summary>
        public float PixelDistance { get; private set; } = float.NaN;

        public SidecarStatus Status => link.Status;

        /// <summary>Why the last call failed; null after one that succeeded.</summary>
        public Exception LastError => link.LastError;

        /// <summary>Moves a control of the model; 0 changes nothing.</summary>
        public void SetControl(string name, float value)
        {
            if (AvatarControl.Set(controls, name, value)) isStale = true;
        }

        /// <summary>Returns where a control is.</summary>
        public float GetControl(string name)
        {
            return AvatarControl.Value(controls, name);
        }

        /// <summary>Puts all controls back to 0.</summary>
        public void ClearControls()
        {
            controls.Clear();
            isStale = true;
        }

        /// <summary>
        /// Shows the avatar that is nearest to a readable texture; controls move that one until a seed or styles are set. A picture
        /// that the sidecar refuses changes nothing.
        /// </summary>
        public void Project(Texture2D source)
        {
            Show(styles, source.ToPicture());
        }

        /// <summary>Calls over a transport of the caller's in place of gRPC-Web; the caller disposes of it.</summary>
        public void Use(ITransport transport)
        {
            Forget();
            link.Use(transport);
        }

        void OnEnable()
        {
            isStale = true;
        }

        void OnDisable()
        {
            Restart();
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
            if (call != null && call.IsCompleted) EndCall();
            if (projection != null && projection.IsCompleted) EndProjection();
            if (call == null && projection == null && isStale && link.IsReady) Begin();
        }

        void Show(AvatarStyles shown, AvatarPicture toProject)
        {
            styles = shown;
            picture = toProject;
            isStale = true;
        }

        void Restart()
        {
            Forget();
            link.Release();
        }

        void Forget()
        {
            call = null;
            projection = null;
            isStale = true;
        }

        void Begin()
        {
            isStale = false;
            asked = picture;
            var settings = new AvatarSettings { Model = model, Truncation = Truncation };
            AvatarControl.Fill(settings, controls);
            var options = new CallOptions(TimeSpan.FromSeconds(timeoutSeconds));
            var client = new AvatarClient(link.Transport(address));
            if (picture != null) projection = client.ProjectAsync(picture, settings, unchecked((ulong)seed), 0, options);
            else if (styles != null) call = client.GenerateAsync(new[] { styles }, settings, options);
            else call = client.GenerateAsync(new[] { unchecked((ulong)seed) }, settings, options);
        }

        void EndCall()
        {
            var ended = call;
            call = null;
            if (!HasFailed(ended)) Load(ended.Result[0]);
        }

        void EndProjection()
        {
            var ended = projection;
            projection = null;
            bool isWanted = picture == asked;
            if (HasFailed(ended))
            {
                if (isWanted && IsRefused(link.LastError)) picture = null;
                return;
            }
            if (!isWanted) return;
            picture = null;
            styles = ended.Result.Avatar.Styles;
            PixelDistance = ended.Result.PixelDistance;
            Load(ended.Result.Avatar);
        }

        bool HasFailed(Task ended)
        {
            if (!ended.IsFaulted && !ended.IsCanceled) return false;
            isStale = true;
            link.Fail(ended.Exception?.GetBaseException() ?? new OperationCanceledException());
            return true;
        }

        // By the picture itself, or by a model without an encoder.
        static bool IsRefused(Exception error)
        {
            var rpc = error as RpcException;
            if (rpc == null) return false;
            return rpc.Status == StatusCode.FailedPrecondition || rpc.Field.StartsWith("pixels", StringComparison.Ordinal);
        }

        void Load(AvatarImage image)
        {
            Texture = AvatarTextures.Load(Texture, image.Width, image.Height, image.Data);
            link.Succeed();
            Changed?.Invoke(Texture);
        }
    }
}
