using System;
using System.Collections.Generic;
using System.Threading;
using System.Threading.Tasks;
using Metabridge.Internal;
using Metabridge.Transport;
using UnityEngine;
using UnityEngine.Events;

namespace Metabridge
{
    /// <summary>A texture is there; in the inspector a RawImage's texture can take it.</summary>
    [Serializable]
    public sealed class TextureEvent : UnityEvent<Texture>
    {
    }

    /// <summary>
    /// Plays a morph through avatars into one texture, at its own frame rate whatever the game's. A few frames wait for their time
    /// and no more is read while they do; frames that come late hold the picture. It plays from the first key when it is enabled, when
    /// a property changes, and when the sidecar is back.
    /// </summary>
    [AddComponentMenu("Metabridge/Avatar Morph")]
    public sealed class AvatarMorph : MonoBehaviour
    {
        const int WaitingFrames = 3;
        const int FramesToStart = 2;

        [SerializeField] string address = "http://127.0.0.1:50052";
        [SerializeField] string model = "pixel";
        [SerializeField] long[] seeds = { 0, 1 };
        [SerializeField, Tooltip("Off: the model's own truncation.")] bool ownTruncation;
        [SerializeField, Range(0f, 2f)] float truncation = 1f;
        [SerializeField] List<AvatarControl> controls = new List<AvatarControl>();
        [SerializeField] float secondsPerKey = 1f;
        [SerializeField, Range(1f, 120f)] float frameRate = 30f;
        [SerializeField] bool isLoop = true;
        [SerializeField] int size = 0;
        [SerializeField] Renderer target;
        [SerializeField] TextureEvent textureCreated = new TextureEvent();

        readonly SidecarLink link = new SidecarLink();
        IReadOnlyList<AvatarStyles> styles;
        FrameBuffer buffer;
        CancellationTokenSource cancellation;
        Task call;
        Material material;
        bool isWanted;
        bool isPlaying;
        double playhead;
        double next;

        /// <summary>A frame is shown.</summary>
        public event Action<Texture2D> Changed;

        /// <summary>The last frame of a morph that is no loop is shown.</summary>
        public event Action Ended;

        /// <summary>A call failed; the morph begins anew after a pause.</summary>
        public event Action<Exception> Failed { add => link.Failed += value; remove => link.Failed -= value; }

        /// <summary>The first frame after failed calls is shown.</summary>
        public event Action Recovered { add => link.Recovered += value; remove => link.Recovered -= value; }

        /// <summary>Address of the sidecar's web port.</summary>
        public string Address { get => address; set { address = value; Restart(); link.Release(); } }

        /// <summary>Name of the avatar model.</summary>
        public string Model { get => model; set { model = value; Restart(); } }

        /// <summary>The keys, at least two seeds; negative numbers stand for unsigned ones with the same bits.</summary>
        public long[] Seeds { get => seeds; set { seeds = value; styles = null; Restart(); } }

        /// <summary>The keys as styles in place of the seeds; null for none.</summary>
        public IReadOnlyList<AvatarStyles> Styles { get => styles; set { styles = value; Restart(); } }

        /// <summary>0 gives the average avatar, 1 the full variety; up to 2.</summary>
        public float? Truncation
        {
            get => ownTruncation ? truncation : (float?)null;
            set { ownTruncation = value.HasValue; truncation = value ?? truncation; Restart(); }
        }

        public float SecondsPerKey { get => secondsPerKey; set { secondsPerKey = value; Restart(); } }

        /// <summary>Frames a second, 1 to 120.</summary>
        public float FrameRate { get => frameRate; set { frameRate = value; Restart(); } }

        /// <summary>Whether it plays round and round, from the last key on to the first.</summary>
        public bool IsLoop { get => isLoop; set { isLoop = value; Restart(); } }

        /// <summary>Width and height in pixels, a power of two; 0 is the model's own size.</summary>
        public int Size { get => size; set { size = value; Restart(); } }

        /// <summary>Shows the texture on its material; null for the renderer beside this component, if any.</summary>
        public Renderer Target { get => target; set { target = value; Paint(); } }

        /// <summary>A texture of another size is there, as at the first frame; later frames change its pixels alone.</summary>
        public TextureEvent TextureCreated => textureCreated;

        /// <summary>Holds the picture. Over gRPC-Web the frames that arrive meanwhile wait in memory.</summary>
        public bool IsPaused { get; set; }

        /// <summary>The frame, or null until the first one; it belongs to this component and is reused.</summary>
        public Texture2D Texture { get; private set; }

        /// <summary>Place of the frame in the morph, from 0; -1 until the first one.</summary>
        public int FrameIndex { get; private set; } = -1;

        public SidecarStatus Status => link.Status;

        /// <summary>Why the last call failed; null after one that succeeded.</summary>
        public Exception LastError => link.LastError;

        /// <summary>Moves a control of the model for all keys; 0 changes nothing.</summary>
        public void SetControl(string name, float value)
        {
            if (AvatarControl.Set(controls, name, value)) Restart();
        }

        /// <summary>Begins again at the first key.</summary>
        public void Restart()
        {
            Stop();
            isWanted = true;
        }

        /// <summary>Calls over a transport of the caller's in place of gRPC-Web; the caller disposes of it.</summary>
        public void Use(ITransport transport)
        {
            Restart();
            link.Use(transport);
        }

        void OnEnable()
        {
            Restart();
        }

        void OnDisable()
        {
            Stop();
            link.Release();
        }

        void OnDestroy()
        {
            if (Texture != null) Destroy(Texture);
            if (material != null) Destroy(material);
        }

        void OnValidate()
        {
            if (Application.isPlaying) Restart();
        }

        void Update()
        {
            if (call != null && call.IsCompleted) End();
            if (call == null && isWanted && link.IsReady) Begin();
            if (buffer != null && !IsPaused) Play();
        }

        // A frame that is on its way when the call is cancelled goes into a buffer that nobody looks at any more.
        void Stop()
        {
            cancellation?.Cancel();
            buffer?.Clear();
            buffer = null;
            call = null;
            isWanted = false;
            isPlaying = false;
        }

        void Begin()
        {
            isWanted = false;
            buffer = buffer ?? new FrameBuffer(WaitingFrames);
            var frames = buffer;
            double offset = frames.End;
            var settings = new AvatarSettings { Model = model, Truncation = Truncation, Size = size };
            AvatarControl.Fill(settings, controls);
            var morph = new MorphSettings { SecondsPerKey = secondsPerKey, FrameRate = frameRate, IsLoop = isLoop };
            cancellation = new CancellationTokenSource();
            var options = new CallOptions(null, cancellation.Token);
            var client = new AvatarClient(link.Transport(address));
            Func<AvatarFrame, Task> add = frame => frames.Add(frame, offset, 1.0 / morph.FrameRate);
            if (styles != null) call = client.MorphAsync(styles, settings, morph, add, options);
            else call = client.MorphAsync(Array.ConvertAll(seeds, seed => unchecked((ulong)seed)), settings, morph, add, options);
        }

        // A loop asks for its next round while the last frames of this one wait for their time.
        void End()
        {
            var ended = call;
            call = null;
            if (!ended.IsFaulted && !ended.IsCanceled)
            {
                isWanted = isLoop;
                return;
            }
            Restart();
            link.Fail(ended.Exception?.GetBaseException() ?? new OperationCanceledException());
        }

        void Play()
        {
            if (!isPlaying && !CanStart()) return;
            playhead += Time.unscaledDeltaTime;
            if (buffer.Count == 0) playhead = Math.Min(playhead, next);
            var frame = buffer.Take(playhead);
            if (frame != null) Show(frame);
            if (call == null && !isWanted && buffer.Count == 0) Finish();
        }

        bool CanStart()
        {
            if (buffer.Count < FramesToStart && (call != null || isWanted || buffer.Count == 0)) return false;
            isPlaying = true;
            playhead = -Time.unscaledDeltaTime;
            next = 0.0;
            return true;
        }

        void Finish()
        {
            buffer = null;
            isPlaying = false;
            Ended?.Invoke();
        }

        void Show(BufferedFrame frame)
        {
            var before = Texture;
            Texture = AvatarTextures.Load(before, frame.Width, frame.Height, frame.Data);
            FrameIndex = frame.Index;
            next = frame.Seconds + 1.0 / frameRate;
            if (Texture != before)
            {
                Paint();
                textureCreated.Invoke(Texture);
            }
            if (link.Status != SidecarStatus.Connected) link.Succeed();
            Changed?.Invoke(Texture);
        }

        void Paint()
        {
            if (target == null) target = GetComponent<Renderer>();
            if (target == null || Texture == null) return;
            material = target.material;
            material.mainTexture = Texture;
        }
    }
}
