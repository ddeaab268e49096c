using System;
using System.Collections.Generic;
using System.IO;
using Google.Protobuf;
using Metabridge.Internal;
using Metabridge.Transport;
using Metabridge.V1;

namespace Metabridge.Headless
{
    /// <summary>Checks of the parts that need no server; each reports "ok" or what was wrong.</summary>
    static class OfflineChecks
    {
        internal static void Run(Action<string, string> report)
        {
            report("frames in pieces", FramesInPieces());
            report("frame too large", Caught(() => Read(new byte[] { 0, 0x7f, 0xff, 0xff, 0xff }, 100)));
            report("frame with a negative size", Caught(() => Read(new byte[] { 0, 0xff, 0xff, 0xff, 0xff }, 100)));
            report("compressed frame", Caught(() => Read(new byte[] { 1, 0, 0, 0, 0 }, 100)));
            report("frame of no message", Caught(() => Read(new byte[] { 0, 0, 0, 0, 1, 0xff }, 100)));
            report("cut frame", Caught(() => Read(new byte[] { 0, 0, 0, 0, 9, 1 }, 100, "grpc-status: 0\r\n")));
            report("too much unread", Caught(() => new AnswerReader<Tensor>(Tensor.Parser, 1 << 20).Append(new byte[3 << 20], 3 << 20)));
            report("no status", Caught(() => Read(new byte[0], 100)));
            report("unknown status", Caught(() => Read(new byte[0], 100, "grpc-status: 99\r\ngrpc-message: so%20be it\r\n")));
            report("status that is no number", Caught(() => Read(new byte[0], 100, "grpc-status: zero\r\n")));
            report("broken details", Caught(() => Read(new byte[0], 100, "grpc-status: 3\r\ngrpc-status-details-bin: $$$\r\n")));
            report("http 503", Caught(() => new AnswerReader<Tensor>(Tensor.Parser, 100).Finish(503)));
            report("floats there and back", FloatsThereAndBack());
            report("floats of a wrong shape", Caught(() => Tensors.FromFloats(new float[3], 2, 2)));
            report("tensor of a wrong type", Caught(() => Tensors.ToLongs(Tensors.FromFloats(new float[2], 2), "action")));
            report("tensor with bytes missing", Caught(() => Tensors.ToFloats(Cut(), "action")));
            report("bools", BitConverter.ToString(Tensors.FromBools(new[] { true, false, true }, 3).Data.ToByteArray()));
            report("agents of different widths", DifferentWidths());
            report("observations of other types", OtherTypes());
            report("timeouts", Timeouts());
            report("no timeout", Caught(() => new CallOptions(TimeSpan.Zero)));
        }

        static string FramesInPieces()
        {
            var sent = new List<Tensor>();
            var stream = new MemoryStream();
            for (int i = 0; i < 4; i++)
            {
                sent.Add(Tensors.FromFloats(new float[i * 40], i * 40));
                byte[] frame = GrpcFrames.Encode(sent[i]);
                stream.Write(frame, 0, frame.Length);
            }
            byte[] bytes = stream.ToArray();
            for (int piece = 1; piece <= bytes.Length; piece++)
            {
                var read = new List<Tensor>();
                var reader = new AnswerReader<Tensor>(Tensor.Parser, 1 << 20);
                for (int start = 0; start < bytes.Length; start += piece)
                {
                    var part = new byte[Math.Min(piece, bytes.Length - start)];
                    Buffer.BlockCopy(bytes, start, part, 0, part.Length);
                    reader.Append(part, part.Length);
                    while (reader.TryRead(out var message)) read.Add(message);
                }
                if (read.Count != 4) return "pieces of " + piece + " bytes give " + read.Count + " messages";
                for (int i = 0; i < 4; i++)
                {
                    if (!read[i].Equals(sent[i])) return "pieces of " + piece + " bytes change message " + i;
                }
            }
            return "ok";
        }

        static string FloatsThereAndBack()
        {
            var values = new[] { 0f, -0f, 1.5f, float.MinValue, float.Epsilon, float.PositiveInfinity, float.NaN };
            var tensor = Tensors.FromFloats(values, values.Length, 1);
            var parsed = Tensor.Parser.ParseFrom(tensor.ToByteArray());
            var back = Tensors.ToFloats(parsed, "x");
            for (int i = 0; i < values.Length; i++)
            {
                if (BitConverter.SingleToInt32Bits(values[i]) != BitConverter.SingleToInt32Bits(back[i])) return "element " + i + " differs";
            }
            bool isLittleEndian = tensor.Data[8] == 0 && tensor.Data[11] == 0x3f;
            return isLittleEndian ? "ok" : "not little-endian: " + BitConverter.ToString(tensor.Data.ToByteArray());
        }

        static string DifferentWidths()
        {
            var group = new NpcGroup("m");
            group.Observe("a", 1f, 2f);
            group.AddAgent(1, true);
            group.Observe("a", 1f);
            string said = Caught(() => group.AddAgent(2, true));
            group.Observe("a", 3f, 4f);
            group.AddAgent(3, true);
            return said + " " + string.Join(",", group.Agents);
        }

        static string OtherTypes()
        {
            var group = new NpcGroup("m");
            group.ObservePicture("view", new byte[12], 2, 2, 3);
            group.ObserveCategory("door", 3);
            group.ObserveCategories("dials", 1, 2);
            group.ObserveBits("switches", 0, 1, 1);
            group.Observe("grid", new[] { 2, 2 }, new[] { 1f, 2f, 3f, 4f });
            group.Allow(true, false);
            group.AddAgent(1, true);
            string said = Caught(() => group.Observe("door", 1f)) + " " + Caught(() => group.ObservePicture("view", new byte[3], 2, 2, 3));
            group.ObserveCategory("door", 3);
            said += " " + Caught(() => group.AddAgent(2, true));
            return said + " " + string.Join(",", group.Agents);
        }

        static string Timeouts()
        {
            var said = new List<string>();
            foreach (double seconds in new[] { 0.0001, 0.25, 86400.0, 1e7 })
            {
                foreach (var header in new CallOptions(TimeSpan.FromSeconds(seconds)).Headers()) said.Add(header.Value);
            }
            return string.Join(" ", said);
        }

        static Tensor Cut()
        {
            var tensor = Tensors.FromFloats(new float[2], 2);
            tensor.Data = ByteString.CopyFrom(tensor.Data.ToByteArray(), 0, 5);
            return tensor;
        }

        static void Read(byte[] bytes, int maxBytes, string trailers = "")
        {
            var reader = new AnswerReader<Tensor>(Tensor.Parser, maxBytes);
            reader.Append(bytes, bytes.Length);
            while (reader.TryRead(out _)) continue;
            if (trailers.Length > 0) reader.Trailers.AddLines(System.Text.Encoding.ASCII.GetBytes(trailers));
            reader.Finish(200);
        }

        static string Caught(Action action)
        {
            try
            {
                action();
                return "nothing";
            }
            catch (Exception error)
            {
                return error.GetType().Name + "|" + error.Message;
            }
        }
    }
}
