using System;
using System.Threading.Tasks;
using Metabridge.V1;

namespace Metabridge.Sample
{
    /// <summary>
    /// Gymnasium's CartPole-v1, row by row: balance a pole on a cart by pushing left (0) or right (1). An example of a world that a
    /// game offers to a trainer; its formulas are those of Barto, Sutton and Anderson (1983), integrated by Euler's method in 0.02 s.
    /// The reset option "state", [rows, 4], sets where rows begin.
    /// </summary>
    public sealed class CartPoleEnvironment : IEnvironment
    {
        const double Gravity = 9.8;
        const double PoleMass = 0.1;
        const double TotalMass = PoleMass + 1.0;
        const double HalfLength = 0.5;
        const double Force = 10.0;
        const double Seconds = 0.02;
        const double MaxAngle = 12 * 2 * Math.PI / 360;
        const double MaxPosition = 2.4;
        const int MaxTicks = 500;
        const int Numbers = 4;

        readonly double[][] states;
        readonly int[] ticks;
        readonly Random[] random;

        public EnvironmentSpec Spec { get; }

        public CartPoleEnvironment(int rows)
        {
            double[] high = { 2 * MaxPosition, double.PositiveInfinity, 2 * MaxAngle, double.PositiveInfinity };
            var observation = EnvironmentSpaces.Box("", Array.ConvertAll(high, bound => -bound), high, Numbers);
            Spec = EnvironmentSpaces.Offer("CartPole", rows, new[] { observation }, new[] { EnvironmentSpaces.Discrete("", 2) });
            Spec.TickSeconds = Seconds;
            states = new double[rows][];
            ticks = new int[rows];
            random = new Random[rows];
            for (int row = 0; row < rows; row++)
            {
                random[row] = new Random(row);
                states[row] = new double[Numbers];
            }
        }

        public Task ResetAsync(EnvironmentReset reset, EnvironmentFrame frame)
        {
            var given = reset.Option("state");
            for (int row = 0; row < states.Length; row++)
            {
                if (!reset.IsChosen(row)) continue;
                if (reset.IsSeeded) random[row] = new Random(unchecked((int)(reset.Seed(row) ^ reset.Seed(row) >> 32)));
                Begin(row);
                for (int i = 0; given != null && i < Numbers; i++) states[row][i] = given[row * Numbers + i];
                Observe(row, frame);
            }
            return Task.CompletedTask;
        }

        public Task StepAsync(EnvironmentActions actions, EnvironmentFrame frame)
        {
            for (int row = 0; row < states.Length; row++)
            {
                Move(states[row], actions.Discrete(row) == 1 ? Force : -Force);
                ticks[row]++;
                frame.Reward(row, 1f);
                Observe(row, frame);
                bool hasFallen = Math.Abs(states[row][0]) > MaxPosition || Math.Abs(states[row][2]) > MaxAngle;
                if (!hasFallen && ticks[row] < MaxTicks) continue;
                frame.End(row, hasFallen);
                Begin(row);
                Observe(row, frame);
            }
            return Task.CompletedTask;
        }

        void Begin(int row)
        {
            ticks[row] = 0;
            for (int i = 0; i < Numbers; i++) states[row][i] = 0.1 * random[row].NextDouble() - 0.05;
        }

        void Observe(int row, EnvironmentFrame frame)
        {
            frame.Observe(row, Array.ConvertAll(states[row], number => (float)number));
        }

        static void Move(double[] state, double force)
        {
            double velocity = state[1], angle = state[2], turn = state[3];
            double cos = Math.Cos(angle), sin = Math.Sin(angle);
            double pushed = (force + PoleMass * HalfLength * turn * turn * sin) / TotalMass;
            double bending = (Gravity * sin - cos * pushed) / (HalfLength * (4.0 / 3.0 - PoleMass * cos * cos / TotalMass));
            double acceleration = pushed - PoleMass * HalfLength * bending * cos / TotalMass;
            state[0] += Seconds * velocity;
            state[1] += Seconds * acceleration;
            state[2] += Seconds * turn;
            state[3] += Seconds * bending;
        }
    }
}
