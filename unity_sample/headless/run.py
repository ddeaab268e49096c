"""Play a scenario in the Unity player: `python unity_sample/headless/run.py --web http://127.0.0.1:50052 --out DIR`."""

from __future__ import annotations

import json
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tyro
from csharp_build import CompileError
from packages import Unavailable
from player import NOT_RUN, NOTICE, UNITY_VERSION, PlayerError, playing, prepared

CLIENT = f"C# in a Unity {UNITY_VERSION} player"
SHOWN_SEEDS = 16
PLAZAS, TICKS, SEED = 32, 300, 2_026


@dataclass(frozen=True)
class RunConfig:
    """Drive a running sidecar from the C# components inside a real Unity player, headless."""

    web: str
    """Address of the sidecar's web port, http://127.0.0.1:50052."""
    scenario: Literal["demo"] = "demo"
    """demo: 16 avatars become textures, 32 assistants serve their users for 300 ticks."""
    out: Path = Path("out/engine")
    """Folder for result.json and the textures, as avatar-<seed>.png and raw .rgba."""
    avatar_model: str = "pixel"
    """Name of the avatar model."""
    npc_model: str = "assistant"
    """Name of the policy of the assistants, one of the assistant's world."""
    frame_rate: int = 60
    """Frames a second, as a game has them; an answer is taken at the beginning of a frame. -1 for as many as it gives."""
    timeout_seconds: float = 120.0
    """Seconds after which a scenario that is not done has failed."""


def demo(config: RunConfig) -> dict[str, Any]:
    """Return the scenario that the demo plays."""
    return {
        "web": config.web,
        "avatar_model": config.avatar_model,
        "npc_model": config.npc_model,
        "seeds": list(range(SHOWN_SEEDS)),
        "plazas": PLAZAS,
        "seed": SEED,
        "ticks": TICKS,
        "frame_rate": config.frame_rate,
        "timeout_seconds": config.timeout_seconds,
    }


def summary(played: dict[str, Any], config: RunConfig) -> dict[str, Any]:
    """Return what a report shows: rows of timings, and what was and was not run. The first call of each kind warms up."""
    avatars = played["avatars"][1:]
    agents = len(played["npcs"])
    frames = [f"p50 of {statistics.median(avatar['frames'] for avatar in avatars):g} frames to a texture"]
    frames += [f"{statistics.median(played['tick_frames'][1:]):g} frames a tick at {config.frame_rate} frames/s"]
    rows = [
        row("GenerateAvatars → Texture2D", 1, [avatar["ms"] for avatar in avatars]),
        row(f"ChooseActions, {agents} assistants, tick to tick", agents, played["tick_ms"][1:]),
    ]
    return {
        "ok": played["ok"],
        "engine": f"Unity {played['unity_version']} player, {played['platform']}, Mono, gRPC-Web over UnityWebRequest",
        "notice": NOTICE,
        "rows": rows,
        "frames": frames,
        "avatars": [f"avatar-{avatar['seed']}.png" for avatar in played["avatars"]],
        "npcs": agents,
        "ticks": played["ticks"],
        "episodes": len(played["episodes"]),
        "fulfilled": sum(episode["done"] for episode in played["episodes"]),
        "not_run": NOT_RUN,
    }


def row(call: str, batch: int, ms: list[float]) -> dict[str, Any]:
    """Return one row of the timing table."""
    quantiles = statistics.quantiles(ms, n=100, method="inclusive")
    p50, p99 = round(quantiles[49], 2), round(quantiles[98], 2)
    return {"client": CLIENT, "call": call, "batch": batch, "calls": len(ms), "p50_ms": p50, "p99_ms": p99}


def main(config: RunConfig) -> int:
    """Play the scenario, write result.json and print what it says; the exit code is 1 unless all went well."""
    print(NOTICE, flush=True)
    config.out.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    try:
        prepared()
        print(f"player ready after {time.perf_counter() - start:.1f} s", flush=True)
        with playing(demo(config), config.out / "player") as player:
            played = player.result(config.timeout_seconds + 30)
    except (Unavailable, CompileError, PlayerError) as error:
        print(f"engine: {error}", file=sys.stderr)
        return 1
    if not played["ok"]:
        print(f"engine: the scenario failed: {played['error']}", file=sys.stderr)
        return 1
    for picture in (config.out / "player").glob("avatar-*"):
        picture.replace(config.out / picture.name)
    result = summary(played, config)
    (config.out / "result.json").write_text(json.dumps(result, indent=2) + "\n")
    for line in result["rows"]:
        print(f"{line['call']}: p50 {line['p50_ms']} ms, p99 {line['p99_ms']} ms over {line['calls']} calls")
    done = f"{result['fulfilled']} of {result['episodes']} requests that ended were fulfilled"
    print(f"{'; '.join(result['frames'])}; {result['npcs']} assistants, {result['ticks']} ticks: {done}")
    print(f"result: {config.out / 'result.json'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(tyro.cli(RunConfig, prog="python unity_sample/headless/run.py")))
