using System;

namespace Metabridge.Sample
{
    /// <summary>
    /// What an agent perceives, computed from the world's numbers alone, row-major and in the order of the policy's card:
    /// export/npc/world/senses.py has every formula. In a scene the sensors of the package see and hear the same.
    /// </summary>
    public static class AssistantSenses
    {
        const double Nearest = 1e-9;
        const int Solid = 0, Place = 1, Person = 2, User = 3;

        /// <summary>Rays from right to left: nearness, then solid, place, person, user; [21, 5].</summary>
        public static float[] Vision(AssistantWorld world, int index)
        {
            var rays = AssistantSpec.RayDegrees;
            int width = 1 + AssistantSpec.Sights.Length;
            var seen = new float[rays.Length * width];
            double sight = world.Layout.IsNight ? AssistantSpec.NightSight : AssistantSpec.RayRange;
            for (int i = 0; i < rays.Length; i++)
            {
                double reach = Slide(world, index, Xz.Forward(world.Agents[index].Heading + rays[i] * Math.PI / 180.0), out int kind);
                if (reach >= sight) continue;
                seen[i * width] = (float)(1.0 - Math.Max(0.0, reach) / AssistantSpec.RayRange);
                seen[i * width + 1 + kind] = 1f;
            }
            return seen;
        }

        // How far the body slides in a direction before it touches something, and what kind of thing that is.
        static double Slide(AssistantWorld world, int index, Xz direction, out int kind)
        {
            var at = world.Agents[index].At;
            double limit = AssistantSpec.HalfSize - AssistantSpec.AgentRadius;
            double wall = Math.Min(ToWall(direction.X, at.X, limit), ToWall(direction.Z, at.Z, limit));
            double reach = AssistantSpec.RayRange;
            kind = Solid;
            for (int i = 0; i < world.Layout.Solids.Count; i++)
            {
                int what = i < world.Config.PlaceCount ? Place : Solid;
                Meet(at, direction, world.Layout.Solids[i], world.Layout.SolidRadii[i], what, ref reach, ref kind);
            }
            foreach (var person in world.People) Meet(at, direction, person, AssistantSpec.UserRadius, Person, ref reach, ref kind);
            for (int i = 0; i < world.Agents.Length; i++)
            {
                int what = i == index ? User : Person;
                Meet(at, direction, world.Agents[i].UserAt, AssistantSpec.UserRadius, what, ref reach, ref kind);
            }
            for (int i = 0; i < world.Agents.Length; i++)
            {
                if (i != index) Meet(at, direction, world.Agents[i].At, AssistantSpec.AgentRadius, Person, ref reach, ref kind);
            }
            if (wall < reach) kind = Solid;
            return Math.Min(reach, wall);
        }

        static void Meet(Xz at, Xz direction, Xz centre, double radius, int what, ref double reach, ref int kind)
        {
            var offset = centre - at;
            double along = offset.X * direction.X + offset.Z * direction.Z;
            double inflated = radius + AssistantSpec.AgentRadius;
            double beside = inflated * inflated - (offset.X * offset.X + offset.Z * offset.Z) + along * along;
            if (along <= 0.0 || beside <= 0.0) return;
            double met = along - Math.Sqrt(beside);
            if (met >= reach) return;
            reach = met;
            kind = what;
        }

        static double ToWall(double direction, double position, double limit)
        {
            if (Math.Abs(direction) <= Nearest) return AssistantSpec.RayRange;
            return (Math.Sign(direction) * limit - position) / direction;
        }

        /// <summary>By band the level, and sine and cosine of the direction from forward to the left; [4, 3].</summary>
        public static float[] Audio(AssistantWorld world, int index)
        {
            var agent = world.Agents[index];
            var layout = world.Layout;
            double[] gains = layout.IsNight ? AssistantSpec.NightGains : AssistantSpec.DayGains;
            var heard = new float[3 * AssistantSpec.Bands.Length];
            if (!agent.IsDone) Write(heard, 0, gains[0], Bent(world, agent));
            var voices = new Sound();
            foreach (var person in world.People) voices.Add(person - agent.At, agent.Heading);
            Write(heard, 1, gains[1], voices);
            var water = new Sound();
            water.Add(layout.Solids[0] - agent.At, agent.Heading);
            Write(heard, 2, gains[2], water);
            var hum = new Sound();
            hum.Add((layout.IsNight ? layout.Crickets : layout.Solids[1]) - agent.At, agent.Heading);
            Write(heard, 3, gains[3], hum);
            return heard;
        }

        /// <summary>By how many radians echoes bend the user's call at an endless distance, at this tick.</summary>
        public static double Bend(AssistantWorld world)
        {
            double share = world.Layout.IsNight ? AssistantSpec.NightBend : 1.0;
            return AssistantSpec.Bend * share * Math.Sin(0.7 * AssistantSpec.Dt * world.Tick + world.Layout.BendPhase);
        }

        static Sound Bent(AssistantWorld world, AssistantState agent)
        {
            var call = new Sound();
            var offset = agent.UserAt - agent.At;
            call.Add(offset, agent.Heading);
            double distance = offset.Length;
            double angle = Math.Atan2(call.Left, call.Ahead) + Bend(world) * distance / (distance + 6.0);
            call.Left = Math.Sin(angle);
            call.Ahead = Math.Cos(angle);
            return call;
        }

        static void Write(float[] heard, int band, double gain, Sound sound)
        {
            double level = gain * sound.Level, size = Math.Sqrt(sound.Left * sound.Left + sound.Ahead * sound.Ahead);
            if (level <= 1e-3 || size <= Nearest) return;
            heard[3 * band] = (float)Math.Min(level, 1.0);
            heard[3 * band + 1] = (float)(sound.Left / size);
            heard[3 * band + 2] = (float)(sound.Ahead / size);
        }

        struct Sound
        {
            internal double Level, Left, Ahead;

            internal void Add(Xz offset, double heading)
            {
                double distance = offset.Length, ratio = distance / AssistantSpec.Hearing;
                double level = 1.0 / (1.0 + ratio * ratio), share = level / Math.Max(distance, Nearest);
                Level += level;
                Left += share * offset.Left(heading);
                Ahead += share * offset.Ahead(heading);
            }
        }

        /// <summary>The embedding of the request, silence when it is fulfilled; [64].</summary>
        public static float[] Language(AssistantWorld world, int index)
        {
            if (world.Agents[index].IsDone) return new float[SentenceEmbedding.Size];
            return AssistantSentence.All[world.Layout.Sentences[index]].Embedding;
        }

        /// <summary>Pressure by sector, then whether something is in the hand; [9].</summary>
        public static float[] Touch(AssistantWorld world, int index)
        {
            var agent = world.Agents[index];
            var felt = new float[AssistantSpec.TouchSectors + 1];
            for (int i = 0; i < AssistantSpec.TouchSectors; i++) felt[i] = (float)agent.Pressure[i];
            felt[AssistantSpec.TouchSectors] = agent.Carrying >= 0 ? 1f : 0f;
            return felt;
        }

        /// <summary>Speed, turn rate, service, time, daylight, the item in hand, and the map; [42].</summary>
        public static float[] Own(AssistantWorld world, int index)
        {
            var agent = world.Agents[index];
            int items = AssistantSpec.Items.Length;
            var own = new float[6 + items + 3 * AssistantSpec.Kinds.Length];
            own[0] = (float)Clip(agent.Speed / AssistantSpec.OwnScale);
            own[1] = (float)Clip(agent.TurnRate / AssistantSpec.OwnScale);
            own[2] = agent.IsEngaged ? 1f : 0f;
            own[3] = (float)Math.Min(agent.Streak / (double)AssistantSpec.StreakTicks, 1.0);
            own[4] = (float)Math.Max(0.0, 1.0 - world.Tick / (double)world.Config.Ticks);
            own[5] = world.Layout.IsNight ? 0f : 1f;
            if (agent.Carrying >= 0) own[6 + agent.Carrying] = 1f;
            for (int i = 0; i < world.Config.PlaceCount; i++)
            {
                var offset = world.Layout.Solids[i] - agent.At;
                int place = 6 + items + 3 * world.Config.KindOf(i);
                own[place] = 1f;
                own[place + 1] = (float)Clip(offset.Left(agent.Heading) / AssistantSpec.MapScale);
                own[place + 2] = (float)Clip(offset.Ahead(agent.Heading) / AssistantSpec.MapScale);
            }
            return own;
        }

        static double Clip(double value)
        {
            return Math.Min(Math.Max(value, -1.0), 1.0);
        }
    }
}
