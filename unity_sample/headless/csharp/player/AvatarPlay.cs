using System;
using System.Collections;
using System.Collections.Generic;
using System.IO;
using UnityEngine;

namespace Metabridge.Headless
{
    /// <summary>Plays the avatar components: sliders that move while calls run, a projection, a morph on a quad.</summary>
    sealed class AvatarPlay
    {
        const string Model = "portrait";
        const int Moves = 40;
        const int MovesPerFrame = 4;
        const int LoopFrames = 18;

        readonly Scenario scenario;
        readonly Action<string, string> report;
        readonly GameObject quad = GameObject.CreatePrimitive(PrimitiveType.Quad);

        internal AvatarPlay(Scenario scenario, Action<string, string> report)
        {
            this.scenario = scenario;
            this.report = report;
        }

        internal IEnumerator Run()
        {
            yield return Source();
            yield return LargePicture();
            yield return Morph();
            yield return OpenMorph();
            yield return UnknownControl();
            UnityEngine.Object.Destroy(quad);
        }

        IEnumerator Source()
        {
            var source = quad.AddComponent<AvatarSource>();
            source.Address = scenario.web;
            source.Model = Model;
            source.Truncation = 0.8f;
            source.Seed = 7;
            int answers = 0;
            source.Changed += texture => answers++;
            for (int i = 1; i <= Moves; i++)
            {
                source.SetControl("glasses", 0.75f * i / Moves);
                source.SetControl("hair", -1.5f * i / Moves);
                if (i % MovesPerFrame == 0) yield return null;
            }
            yield return Quiet(() => answers);
            Write("source.rgba", source.Texture);
            report("source", (answers < Moves / 2 ? "fewer answers than moves" : answers + " answers") + " " + source.GetControl("hair"));
            var picture = new Texture2D(2, 2);
            picture.LoadImage(File.ReadAllBytes(scenario.picture));
            source.ClearControls();
            source.Project(picture);
            while (source.Styles == null) yield return null;
            Write("source-projected.rgba", source.Texture);
            report("source distance", source.PixelDistance.ToString("R"));
            source.SetControl("glasses", 0.5f);
            answers = 0;
            yield return Quiet(() => answers);
            Write("source-projected-moved.rgba", source.Texture);
            UnityEngine.Object.Destroy(source);
        }

        // A picture whose pixels would not fit into one message.
        IEnumerator LargePicture()
        {
            var picture = new Texture2D(1030, 1028, TextureFormat.RGBA32, false);
            var pixels = new Color32[picture.width * picture.height];
            for (int i = 0; i < pixels.Length; i++)
            {
                int x = i % picture.width, y = i / picture.width;
                pixels[i] = new Color32((byte)(7 * x + 3 * y), (byte)(x / 5), (byte)(y / 5), (byte)(x * y / 64));
            }
            picture.SetPixels32(pixels);
            var source = quad.AddComponent<AvatarSource>();
            source.Address = scenario.web;
            source.Model = Model;
            source.Seed = 7;
            source.Project(picture);
            while (source.Styles == null) yield return null;
            Write("source-large.rgba", source.Texture);
            UnityEngine.Object.Destroy(source);
        }

        // Waits for an answer and then until none comes any more.
        static IEnumerator Quiet(Func<int> count)
        {
            int seen = 0;
            for (float since = Time.realtimeSinceStartup; seen == 0 || Time.realtimeSinceStartup - since < 0.5f;)
            {
                if (count() != seen) since = Time.realtimeSinceStartup;
                seen = count();
                yield return null;
            }
        }

        IEnumerator Morph()
        {
            var morph = quad.AddComponent<AvatarMorph>();
            morph.Address = scenario.web;
            morph.Model = Model;
            morph.Seeds = new long[] { 1, 2, 3 };
            morph.Truncation = 0.8f;
            morph.SecondsPerKey = 0.3f;
            morph.FrameRate = 20f;
            morph.SetControl("glasses", 0.5f);
            int created = 0;
            morph.TextureCreated.AddListener(texture => created++);
            var order = new List<string>();
            morph.Changed += texture =>
            {
                order.Add(morph.FrameIndex.ToString());
                Write("morph-" + morph.FrameIndex + ".rgba", texture);
            };
            while (order.Count < 2 * LoopFrames) yield return null;
            morph.IsPaused = true;
            int shown = order.Count;
            yield return new WaitForSecondsRealtime(0.5f);
            report("morph paused", order.Count == shown ? "holds" : "goes on");
            morph.IsPaused = false;
            while (order.Count < shown + 3) yield return null;
            morph.enabled = false;
            report("morph order", string.Join(" ", order.ToArray()));
            report("morph textures", created.ToString());
            bool isOnQuad = quad.GetComponent<MeshRenderer>().material.mainTexture == morph.Texture;
            report("morph on the quad", isOnQuad ? "yes" : "no");
            shown = order.Count;
            yield return new WaitForSecondsRealtime(0.3f);
            report("morph disabled", order.Count == shown ? "holds" : "goes on");
            UnityEngine.Object.Destroy(morph);
        }

        IEnumerator OpenMorph()
        {
            var morph = new GameObject("Open morph").AddComponent<AvatarMorph>();
            morph.Address = scenario.web;
            morph.Model = Model;
            morph.Seeds = new long[] { 1, 2 };
            morph.SecondsPerKey = 0.2f;
            morph.IsLoop = false;
            bool hasEnded = false;
            morph.Ended += () => hasEnded = true;
            while (!hasEnded) yield return null;
            report("open morph", "ended at " + morph.FrameIndex + " " + morph.Status);
            UnityEngine.Object.Destroy(morph.gameObject);
        }

        IEnumerator UnknownControl()
        {
            var morph = new GameObject("Wrong morph").AddComponent<AvatarMorph>();
            morph.Address = scenario.web;
            morph.Model = Model;
            morph.SetControl("nose", 1f);
            while (morph.LastError == null) yield return null;
            report("morph with an unknown control", morph.Status + " " + morph.LastError.Message);
            UnityEngine.Object.Destroy(morph.gameObject);
        }

        void Write(string name, Texture2D texture)
        {
            File.WriteAllBytes(Path.Combine(scenario.output, name), texture.GetRawTextureData());
        }
    }
}
