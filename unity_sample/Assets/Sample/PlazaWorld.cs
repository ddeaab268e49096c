using System;

namespace Metabridge.Sample
{
    /// <summary>The plaza's numbers, as the course file names them: metres, seconds, radians.</summary>
    [Serializable]
    public sealed class PlazaConstants
    {
        public double dt;
        public double response;
        public double half_size;
        public double npc_radius;
        public double user_radius;
        public double ray_range;
        public double[] ray_angles;
        public double[] action_low;
        public double[] action_high;
        public string[] observation_elements;
    }

    [Serializable]
    public sealed class PlazaObstacle
    {
        public double x;
        public double z;
        public double radius;
    }

    /// <summary>One world's state, as the course file names it.</summary>
    [Serializable]
    public sealed class PlazaState
    {
        public int tick;
        public double x;
        public double z;
        public double heading;
        public double speed;
        public double turn_rate;
        public double user_centre_x;
        public double user_centre_z;
        public double user_amplitude_x;
        public double user_amplitude_z;
        public double user_frequency_x;
        public double user_frequency_z;
        public double user_phase_x;
        public double user_phase_z;
        public double user_pause;
        public double user_gait;
        public PlazaObstacle[] obstacles;
    }

    /// <summary>Worlds in which nothing is touched, written by <c>python -m export npc course</c>.</summary>
    [Serializable]
    public sealed class PlazaCourse
    {
        public PlazaConstants constants;
        public int ticks;
        public PlazaState[] worlds;
    }

    /// <summary>
    /// The plaza of export/npc/env.py without contact: an NPC, a user who strolls, obstacles. Space is glTF's (right-handed, +Y up,
    /// +Z forward); heading 0 looks along +Z and grows towards +X.
    /// </summary>
    public sealed class PlazaWorld
    {
        const double Nearest = 1e-9;

        readonly PlazaConstants constants;
        readonly PlazaState state;
        double userX, userZ, userBeforeX, userBeforeZ;

        public PlazaWorld(PlazaConstants constants, PlazaState state)
        {
            this.constants = constants;
            this.state = state;
            PlaceUser(state.tick - 1, out userBeforeX, out userBeforeZ);
            PlaceUser(state.tick, out userX, out userZ);
        }

        public double X => state.x;

        public double Z => state.z;

        public double Heading => state.heading;

        public double UserX => userX;

        public double UserZ => userZ;

        /// <summary>Advances one tick under a speed in m/s and a turn in rad/s, clipped to their bounds.</summary>
        public void Step(double speed, double turn)
        {
            state.speed += constants.response * (Clip(speed, 0) - state.speed);
            state.turn_rate += constants.response * (Clip(turn, 1) - state.turn_rate);
            state.heading += constants.dt * state.turn_rate;
            state.x += constants.dt * state.speed * Math.Sin(state.heading);
            state.z += constants.dt * state.speed * Math.Cos(state.heading);
            state.tick++;
            userBeforeX = userX;
            userBeforeZ = userZ;
            PlaceUser(state.tick, out userX, out userZ);
        }

        /// <summary>Returns what the NPC perceives, in the order of the constants' observation_elements.</summary>
        public float[] Observe()
        {
            double forwardX = Math.Sin(state.heading), forwardZ = Math.Cos(state.heading);
            double toX = userX - state.x, toZ = userZ - state.z;
            double left = toX * forwardZ - toZ * forwardX, ahead = toX * forwardX + toZ * forwardZ;
            double distance = Math.Sqrt(toX * toX + toZ * toZ);
            bool isOnUser = distance < Nearest;
            double velocityX = (userX - userBeforeX) / constants.dt, velocityZ = (userZ - userBeforeZ) / constants.dt;
            var observation = new float[9 + constants.ray_angles.Length];
            observation[0] = (float)left;
            observation[1] = (float)ahead;
            observation[2] = (float)distance;
            observation[3] = isOnUser ? 0f : (float)(left / distance);
            observation[4] = isOnUser ? 1f : (float)(ahead / distance);
            observation[5] = (float)(velocityX * forwardZ - velocityZ * forwardX);
            observation[6] = (float)(velocityX * forwardX + velocityZ * forwardZ);
            observation[7] = (float)state.speed;
            observation[8] = (float)state.turn_rate;
            for (int i = 0; i < constants.ray_angles.Length; i++) observation[9 + i] = (float)Ray(constants.ray_angles[i]);
            return observation;
        }

        /// <summary>Returns whether the NPC's body overlaps the user, an obstacle or a wall.</summary>
        public bool IsTouching()
        {
            double limit = constants.half_size - constants.npc_radius;
            bool touches = Math.Abs(state.x) > limit || Math.Abs(state.z) > limit;
            touches |= Gap(userX, userZ) < constants.npc_radius + constants.user_radius;
            foreach (var obstacle in state.obstacles) touches |= Gap(obstacle.x, obstacle.z) < constants.npc_radius + obstacle.radius;
            return touches;
        }

        double Gap(double x, double z)
        {
            return Math.Sqrt((x - state.x) * (x - state.x) + (z - state.z) * (z - state.z));
        }

        double Clip(double command, int index)
        {
            return Math.Min(Math.Max(command, constants.action_low[index]), constants.action_high[index]);
        }

        void PlaceUser(int tick, out double x, out double z)
        {
            double time = constants.dt * tick;
            double strolled = time - state.user_pause * Math.Sin(state.user_gait * time) / state.user_gait;
            x = state.user_centre_x + state.user_amplitude_x * Math.Sin(state.user_frequency_x * strolled + state.user_phase_x);
            z = state.user_centre_z + state.user_amplitude_z * Math.Sin(state.user_frequency_z * strolled + state.user_phase_z);
        }

        // How far the body slides in a direction before it touches an obstacle or a wall.
        double Ray(double angle)
        {
            double x = Math.Sin(state.heading + angle), z = Math.Cos(state.heading + angle);
            double range = Math.Min(constants.ray_range, Math.Min(ToWall(x, state.x), ToWall(z, state.z)));
            foreach (var obstacle in state.obstacles)
            {
                double toX = obstacle.x - state.x, toZ = obstacle.z - state.z;
                double along = toX * x + toZ * z;
                double radius = obstacle.radius + constants.npc_radius;
                double beside = radius * radius - (toX * toX + toZ * toZ - along * along);
                if (along > 0 && beside > 0) range = Math.Min(range, along - Math.Sqrt(beside));
            }
            return Math.Max(0, range);
        }

        double ToWall(double direction, double position)
        {
            if (Math.Abs(direction) <= Nearest) return constants.ray_range;
            return (Math.Sign(direction) * (constants.half_size - constants.npc_radius) - position) / direction;
        }
    }
}
