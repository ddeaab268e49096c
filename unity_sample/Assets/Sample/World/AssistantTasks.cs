using System;

namespace Metabridge.Sample
{
    /// <summary>What users ask for, when it is fulfilled, and what a tick is worth: export/npc/world/tasks.py has every rule.</summary>
    public static class AssistantTasks
    {
        const double Progress = 0.3, Success = 5.0, Time = 0.01, Contact = 0.1, Act = 0.02, WrongGift = 0.5, Turning = 0.002;
        const double SpeakReach = 2.2, PickReach = 1.8, GiveReach = 1.8, PointReach = 3.5, Arrived = 3.0;
        const double WaitReach = 2.0, Still = 0.15, StreakMetres = 3.0;
        static readonly double Cos30 = Math.Cos(Math.PI / 6.0), Cos45 = Math.Cos(Math.PI / 4.0), Cos60 = Math.Cos(Math.PI / 3.0);

        /// <summary>Where the named place is; the user's place where none is named.</summary>
        public static Xz Target(AssistantWorld world, int index)
        {
            int target = world.Layout.Targets[index];
            return target < 0 ? world.Agents[index].UserAt : world.Layout.Solids[target];
        }

        /// <summary>An estimate in metres of the way that is left; 0 when done.</summary>
        public static double Remaining(AssistantWorld world, int index)
        {
            var agent = world.Agents[index];
            if (agent.IsDone) return 0.0;
            var target = Target(world, index);
            double toUser = (agent.UserAt - agent.At).Length, toTarget = (target - agent.At).Length;
            double between = (target - agent.UserAt).Length;
            double unserved = StreakMetres * (1.0 - agent.Streak / (double)AssistantSpec.StreakTicks);
            double away = 1.0 - Facing(agent, agent.UserAt);
            switch (world.Layout.Tasks[index])
            {
                case AssistantTask.Guide:
                    if (!agent.IsEngaged) return toUser + 1.5 * between;
                    return between + 0.5 * toTarget + 0.5 * Math.Max(0.0, toUser - 2.0);
                case AssistantTask.Bring:
                    return CarriesRight(world, index) ? toUser : toTarget + between;
                case AssistantTask.Follow:
                    return Math.Max(0.0, Math.Abs(toUser - 1.55) - 0.5) + away + unserved;
                case AssistantTask.Keep:
                    return Math.Max(0.0, Math.Abs(toUser - 4.0) - 0.8) + away + unserved;
                default:
                    return Math.Max(0.0, toTarget - 1.6) + unserved;
            }
        }

        /// <summary>Carries out an act, updates the agent's state and returns the reward.</summary>
        internal static double Judge(AssistantWorld world, int index, AssistantAct act, bool isContact)
        {
            var agent = world.Agents[index];
            bool isAsked = !agent.IsDone;
            bool isFulfilled = Do(world, index, act, out bool isWrong);
            agent.Streak = isAsked && Serves(world, index) ? agent.Streak + 1 : 0;
            isFulfilled = isAsked && (isFulfilled || agent.Streak >= AssistantSpec.StreakTicks);
            agent.IsDone |= isFulfilled;
            double left = Remaining(world, index);
            double reward = Progress * (agent.Remaining - left) - Time - Turning * agent.TurnRate * agent.TurnRate;
            if (isFulfilled) reward += Success;
            if (isContact) reward -= Contact;
            if (act != AssistantAct.None) reward -= Act;
            if (isWrong) reward -= WrongGift;
            agent.Remaining = left;
            return isAsked ? reward : 0.0;
        }

        // Returns whether the act fulfils the request; an act that is out of reach does nothing.
        static bool Do(AssistantWorld world, int index, AssistantAct act, out bool isWrong)
        {
            var agent = world.Agents[index];
            var task = world.Layout.Tasks[index];
            isWrong = false;
            switch (act)
            {
                case AssistantAct.Speak:
                    agent.IsEngaged |= task == AssistantTask.Guide && CanSpeak(agent);
                    return false;
                case AssistantAct.Point:
                    var target = Target(world, index);
                    bool isThere = (target - agent.UserAt).Length <= Arrived && (target - agent.At).Length <= PointReach;
                    return task == AssistantTask.Guide && agent.IsEngaged && isThere && Facing(agent, target) >= Cos30;
                case AssistantAct.Pick:
                    int item = ItemInReach(world, agent);
                    if (item >= 0) agent.Carrying = item;
                    return false;
                case AssistantAct.Give:
                    if (!CanGive(agent)) return false;
                    bool isRight = task == AssistantTask.Bring && CarriesRight(world, index);
                    isWrong = !isRight;
                    agent.Carrying = -1;
                    return isRight;
                default:
                    return false;
            }
        }

        static bool Serves(AssistantWorld world, int index)
        {
            var agent = world.Agents[index];
            double distance = (agent.UserAt - agent.At).Length, facing = Facing(agent, agent.UserAt);
            switch (world.Layout.Tasks[index])
            {
                case AssistantTask.Follow:
                    return distance >= 0.9 && distance <= 2.2 && facing >= Cos45;
                case AssistantTask.Keep:
                    return distance >= 3.0 && distance <= 5.0 && facing >= Cos60;
                case AssistantTask.Wait:
                    return (Target(world, index) - agent.At).Length <= WaitReach && Math.Abs(agent.Speed) < Still;
                default:
                    return false;
            }
        }

        /// <summary>
        /// What an agent may do now, the branches speed, turn and act one after another: every move; none always, another act only
        /// where it does something.
        /// </summary>
        public static bool[] ActionMask(AssistantWorld world, int index)
        {
            var agent = world.Agents[index];
            var mask = new bool[AssistantSpec.MaskSize];
            int acts = AssistantSpec.SpeedBins.Length + AssistantSpec.TurnBins.Length;
            for (int i = 0; i <= acts; i++) mask[i] = true;
            int item = ItemInReach(world, agent);
            mask[acts + (int)AssistantAct.Speak] = CanSpeak(agent);
            mask[acts + (int)AssistantAct.Point] = CanPoint(world, agent);
            mask[acts + (int)AssistantAct.Pick] = item >= 0 && item != agent.Carrying;
            mask[acts + (int)AssistantAct.Give] = CanGive(agent);
            return mask;
        }

        static bool CanSpeak(AssistantState agent)
        {
            return (agent.UserAt - agent.At).Length <= SpeakReach && Facing(agent, agent.UserAt) >= Cos60;
        }

        static bool CanGive(AssistantState agent)
        {
            bool isNear = (agent.UserAt - agent.At).Length <= GiveReach;
            return isNear && agent.Carrying >= 0 && Facing(agent, agent.UserAt) >= Cos60;
        }

        static bool CanPoint(AssistantWorld world, AssistantState agent)
        {
            for (int i = 0; i < world.Config.PlaceCount; i++)
            {
                if ((world.Layout.Solids[i] - agent.At).Length <= PointReach) return true;
            }
            return false;
        }

        // The item of the nearest stand that the agent reaches and faces; -1 for none.
        static int ItemInReach(AssistantWorld world, AssistantState agent)
        {
            int item = -1;
            double nearest = PickReach;
            for (int i = AssistantSpec.LandmarkCount; i < world.Config.PlaceCount; i++)
            {
                var offset = world.Layout.Solids[i] - agent.At;
                double distance = offset.Length;
                bool isFaced = offset.Ahead(agent.Heading) / Math.Max(distance, 1e-9) >= Cos60;
                if (!isFaced || distance > nearest || (distance == nearest && item >= 0)) continue;
                nearest = distance;
                item = world.Config.ItemOf(i);
            }
            return item;
        }

        static bool CarriesRight(AssistantWorld world, int index)
        {
            int target = world.Layout.Targets[index], carrying = world.Agents[index].Carrying;
            return carrying >= 0 && target >= 0 && carrying == world.Config.ItemOf(target);
        }

        // The cosine of a place's bearing from the agent's heading.
        static double Facing(AssistantState agent, Xz place)
        {
            var offset = place - agent.At;
            double distance = offset.Length;
            return distance < 1e-9 ? 1.0 : offset.Ahead(agent.Heading) / distance;
        }
    }
}
