namespace Metabridge
{
    /// <summary>How a component stands with its sidecar.</summary>
    public enum SidecarStatus
    {
        /// <summary>No call has ended yet.</summary>
        Idle,

        /// <summary>The last call succeeded.</summary>
        Connected,

        /// <summary>The last call failed; the component tries again by itself.</summary>
        Failed,
    }
}
