using System;
using System.Collections;
using System.Diagnostics;
using System.IO;
using System.Threading.Tasks;
using Metabridge.Sample;
using Metabridge.Transport;
using UnityEngine;
using UnityEngine.SceneManagement;

namespace Metabridge.Headless
{
    /// <summary>
    /// Plays a scenario with the package's components: avatars become textures, assistants serve their users. Every event is a line of
    /// the file events.txt as it happens; the result file is written last and says whether all was well.
    /// </summary>
    public sealed class ScenarioRunner : MonoBehaviour
    {
        readonly Result result = new Result();
        readonly Stopwatch clock = Stopwatch.StartNew();
        Scenario scenario;
        Plazas plazas;
        bool isOver;

        void Start()
        {
            result.unity_version = Application.unityVersion;
            result.platform = Application.platform.ToString();
            try
            {
                scenario = Scenario.Load();
                foreach (var root in SceneManager.GetActiveScene().GetRootGameObjects()) root.SetActive(root == gameObject);
                QualitySettings.vSyncCount = 0;
                Application.targetFrameRate = scenario.frame_rate;
                Note("started");
                StartCoroutine(Play());
            }
            catch (Exception error)
            {
                End(error.ToString());
            }
        }

        void Update()
        {
            if (!isOver && scenario != null && clock.Elapsed.TotalSeconds > scenario.timeout_seconds)
            {
                string last = result.events.Count > 0 ? result.events[result.events.Count - 1] : "nothing";
                End("not done after " + scenario.timeout_seconds + " s; the last event is: " + last);
            }
        }

        IEnumerator Play()
        {
            var source = gameObject.AddComponent<AvatarSource>();
            source.Address = scenario.web;
            source.Model = scenario.avatar_model;
            if (scenario.truncation > 0f) source.Truncation = scenario.truncation;
            source.enabled = scenario.seeds.Length > 0;
            source.Failed += error => Note("avatar failed " + error.Message);
            source.Recovered += () => Note("avatar recovered");
            foreach (long seed in scenario.seeds) yield return ShowAvatar(source, seed);
            if (scenario.stream_size > 0) yield return CallDirectly();
            if (!string.IsNullOrEmpty(scenario.picture)) yield return CallAvatars();
            if (scenario.cancelled) yield return Calling(transport => new CancelledMorphs(Report, transport).Run());
            if (scenario.killed) yield return Calling(transport => new KilledSidecar(Report, scenario.output, transport).Run());
            if (scenario.scenes) yield return CallScenes();
            if (scenario.npcs) yield return CallNpcs();
            if (!string.IsNullOrEmpty(scenario.trainer)) yield return new EnvironmentPlay(scenario, Report).Run();
            if (scenario.sample) yield return PlaySample();
            if (scenario.actions != null && scenario.actions.Length > 0) yield return new SensePlay(scenario).Run();
            if (scenario.ticks > 0) yield return Walk(source);
            End("");
        }

        IEnumerator CallDirectly()
        {
            using (var transport = new UnityWebRequestTransport(scenario.web))
            {
                yield return new DirectCalls(scenario, result, transport).Run();
            }
        }

        IEnumerator CallAvatars()
        {
            yield return Calling(transport => new AvatarCalls(Report, scenario.output, scenario.picture, transport).Run());
            yield return new AvatarPlay(scenario, Report).Run();
        }

        IEnumerator CallScenes()
        {
            yield return Calling(transport => new SceneCalls(Report, scenario.output, transport).Run());
            yield return Calling(transport => new PictureCalls(Report, scenario.output, transport).Run());
            yield return new ScenePlay(scenario, Report).Run();
        }

        IEnumerator CallNpcs()
        {
            yield return Calling(transport => new PolicyCalls(Report, transport).Run());
            yield return new NpcPlay(scenario, Report).Run();
        }

        IEnumerator Calling(Func<ITransport, Task> calls)
        {
            using (var transport = new UnityWebRequestTransport(scenario.web))
            {
                var call = calls(transport);
                while (!call.IsCompleted) yield return null;
                if (call.IsFaulted) End(call.Exception.GetBaseException().ToString());
            }
        }

        void Report(string name, string value)
        {
            File.AppendAllText(Path.Combine(scenario.output, "reported.tsv"), name + "\t" + value.Replace("\n", " ") + "\n");
        }

        IEnumerator PlaySample()
        {
            var scene = new GameObject("Sample").AddComponent<PlazaScene>();
            scene.Address = scenario.web;
            yield return null;
            var brain = scene.GetComponent<NpcBrain>();
            var morph = scene.GetComponentInChildren<AvatarMorph>();
            while (CountAvatars(scene) < 16 || brain.Tick < 20 || morph.FrameIndex < 5) yield return null;
            var shown = morph.GetComponent<MeshRenderer>().material.mainTexture;
            result.sample_morph = shown == morph.Texture ? morph.FrameIndex : -1;
            result.sample_avatars = CountAvatars(scene);
            result.sample_ticks = (int)brain.Tick;
            foreach (var body in scene.GetComponentsInChildren<MeshRenderer>()) result.sample_objects.Add(body.name);
            Destroy(scene.gameObject);
        }

        static int CountAvatars(PlazaScene scene)
        {
            int count = 0;
            foreach (var source in scene.GetComponentsInChildren<AvatarSource>())
            {
                var shown = source.GetComponent<MeshRenderer>().material.mainTexture;
                if (source.Texture != null && shown == source.Texture) count++;
            }
            return count;
        }

        IEnumerator ShowAvatar(AvatarSource source, long seed)
        {
            bool isThere = false;
            Action<Texture2D> changed = texture => isThere = true;
            source.Changed += changed;
            source.Seed = seed;
            var watch = Stopwatch.StartNew();
            int first = Time.frameCount;
            while (!isThere) yield return null;
            source.Changed -= changed;
            var texture2D = source.Texture;
            result.avatars.Add(new AvatarResult
            {
                seed = seed,
                width = texture2D.width,
                height = texture2D.height,
                format = texture2D.format.ToString(),
                ms = watch.Elapsed.TotalMilliseconds,
                frames = Time.frameCount - first,
            });
            File.WriteAllBytes(Path.Combine(scenario.output, "avatar-" + seed + ".rgba"), texture2D.GetRawTextureData());
            File.WriteAllBytes(Path.Combine(scenario.output, "avatar-" + seed + ".png"), texture2D.EncodeToPNG());
        }

        IEnumerator Walk(AvatarSource source)
        {
            var brain = new GameObject("Brain").AddComponent<NpcBrain>();
            brain.Address = scenario.web;
            brain.Model = scenario.npc_model;
            brain.TickSeconds = scenario.tick_seconds;
            brain.Failed += error =>
            {
                Note("npc failed " + error.Message);
                source.Seed++;
            };
            brain.Recovered += () => Note("npc recovered");
            brain.SessionRestarted += () => Note("npc session restarted");
            brain.AgentFailed += npc => Note("agent " + npc.Id + " failed " + npc.Failure);
            plazas = new Plazas(scenario);
            for (int i = 0; i < plazas.All.Count; i++) Watch(i, plazas.All[i]);
            foreach (var npc in plazas.Npcs()) npc.Brain = brain;
            var watch = Stopwatch.StartNew();
            int frame = Time.frameCount;
            brain.Ticked += tick =>
            {
                plazas.Step();
                result.tick_ms.Add(watch.Elapsed.TotalMilliseconds);
                result.tick_frames.Add(Time.frameCount - frame);
                watch = Stopwatch.StartNew();
                frame = Time.frameCount;
                if ((tick + 1) % 50 == 0) Note("tick " + (tick + 1));
            };
            while (brain.Tick < scenario.ticks) yield return null;
            result.ticks = (int)brain.Tick;
            result.ended_session = brain.Session;
            brain.enabled = false;
            yield return new WaitForSecondsRealtime(0.5f);
        }

        void Watch(int index, AssistantPlaza plaza)
        {
            plaza.Ended += world =>
            {
                for (int i = 0; i < world.Agents.Length; i++)
                {
                    var agent = world.Agents[i];
                    result.episodes.Add(new EpisodeResult
                    {
                        plaza = index,
                        episode = world.Episode,
                        task = AssistantSpec.Tasks[(int)world.Layout.Tasks[i]],
                        done = agent.IsDone,
                        ticks = world.Tick,
                        total = agent.Return,
                        contacts = agent.Contacts,
                    });
                }
            };
        }

        void Note(string what)
        {
            result.events.Add(what);
            string path = scenario == null ? null : Path.Combine(scenario.output, "events.txt");
            if (path != null) File.AppendAllText(path, what + "\n");
        }

        void End(string error)
        {
            if (isOver) return;
            isOver = true;
            if (plazas != null) foreach (var npc in plazas.Npcs()) result.npcs.Add(Describe(npc));
            result.ok = error.Length == 0;
            result.error = error;
            string path = Scenario.Argument("-result");
            File.WriteAllText(path + ".partial", JsonUtility.ToJson(result));
            File.Move(path + ".partial", path);
            Application.Quit();
        }

        static NpcResult Describe(AssistantNpc npc)
        {
            var world = npc.Plaza.World;
            return new NpcResult
            {
                world_x = world.Agents[npc.Index].At.X,
                world_z = world.Agents[npc.Index].At.Z,
                episode = world.Episode,
                tick = world.Tick,
                source = npc.Source.ToString(),
                failure = npc.Failure ?? "",
            };
        }
    }
}
