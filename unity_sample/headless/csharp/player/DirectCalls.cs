using System;
using System.Collections;
using System.Threading;
using System.Threading.Tasks;
using Metabridge.Transport;
using UnityEngine;

namespace Metabridge.Headless
{
    /// <summary>Calls made over UnityWebRequestTransport without a component: a stream, errors, a deadline, a cancellation.</summary>
    sealed class DirectCalls
    {
        readonly Scenario scenario;
        readonly Result result;
        readonly AvatarClient avatars;

        internal DirectCalls(Scenario scenario, Result result, ITransport transport)
        {
            this.scenario = scenario;
            this.result = result;
            avatars = new AvatarClient(transport);
        }

        internal IEnumerator Run()
        {
            var settings = new AvatarSettings { Model = scenario.avatar_model, Size = scenario.stream_size };
            int main = Thread.CurrentThread.ManagedThreadId;
            yield return Note("stream", avatars.StreamAsync(new[] { 1UL, 2UL, 3UL }, settings, image =>
            {
                string thread = Thread.CurrentThread.ManagedThreadId == main ? "main thread" : "another thread";
                result.calls.Add("streamed " + image.Seed + " " + image.Data.Length + " " + thread);
            }));
            var broken = new AvatarSettings { Model = scenario.avatar_model, Size = 33 };
            yield return Note("bad size", avatars.GenerateAsync(new[] { 1UL }, broken));
            var unknown = new AvatarSettings { Model = "nobody" };
            yield return Note("unknown model", avatars.GenerateAsync(new[] { 1UL }, unknown));
            yield return Note("callback throws", avatars.StreamAsync(new[] { 1UL }, settings, image => throw new FormatException("mine")));
            var soon = new CallOptions(TimeSpan.FromMilliseconds(1));
            var large = new AvatarSettings { Model = scenario.avatar_model, Size = 4096 };
            yield return Note("deadline", avatars.StreamAsync(new[] { 1UL }, large, image => { }, soon));
            using (var source = new CancellationTokenSource())
            {
                var call = avatars.StreamAsync(new[] { 1UL }, large, image => { }, new CallOptions(null, source.Token));
                source.Cancel();
                yield return Note("cancelled", call);
            }
        }

        IEnumerator Note(string name, Task call)
        {
            while (!call.IsCompleted) yield return null;
            var error = call.Exception == null ? null : call.Exception.GetBaseException();
            var rpc = error as RpcException;
            string outcome = call.IsCanceled ? "cancelled" : error == null ? "ok" : error.GetType().Name + ": " + error.Message;
            result.calls.Add(name + "|" + (rpc == null ? outcome : rpc.Status + "|" + rpc.Field + "|" + rpc.Details.Reason));
        }
    }
}
