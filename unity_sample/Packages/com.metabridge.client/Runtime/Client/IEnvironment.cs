using System.Threading.Tasks;
using Metabridge.V1;

namespace Metabridge
{
    /// <summary>
    /// A world that a game offers to a trainer: rows of agents whose episodes begin and end on their own. An
    /// <see cref="EnvironmentClient"/> calls it, one call at a time, on the thread that it runs on; a task may take as many frames
    /// as the physics needs.
    /// </summary>
    public interface IEnvironment
    {
        /// <summary>What is offered; <see cref="EnvironmentSpaces"/> writes it. It stays the same.</summary>
        EnvironmentSpec Spec { get; }

        /// <summary>Begins a new episode in every row that is chosen, and observes it.</summary>
        Task ResetAsync(EnvironmentReset reset, EnvironmentFrame frame);

        /// <summary>
        /// Acts for one tick in every row: observes and rewards it. A row whose episode ends observes its end, is ended by
        /// <see cref="EnvironmentFrame.End"/>, begins anew and observes that.
        /// </summary>
        Task StepAsync(EnvironmentActions actions, EnvironmentFrame frame);
    }
}
