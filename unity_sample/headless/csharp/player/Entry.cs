using UnityEngine;

/// <summary>
/// The player's scene holds a script of this name; it is where our code comes in. What else the scene wanted is missing.
/// </summary>
public sealed class Ball3DDecision : MonoBehaviour
{
    static bool hasStarted;

    void Awake()
    {
        if (hasStarted) return;
        hasStarted = true;
        var runner = new GameObject("Metabridge scenario");
        DontDestroyOnLoad(runner);
        runner.AddComponent<Metabridge.Headless.ScenarioRunner>();
    }
}
