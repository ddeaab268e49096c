"""The demo's steps that are commands of their own: what it prints can be typed."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from export.scene.trained import DEFAULT_NAME, DEFAULTS, checkpoint_path

PIXEL_ART = ("--model.pixel-size", "2", "--model.palette-size", "128", "--model.mapping-layers", "2", "--path-weight", "0")
"""What the data are: squares of 2 x 2 pixels in the colours of a palette."""
QUICK = (*PIXEL_ART, "--batch", "16", "--average-kimg", "1", "--model.channels", "96", "96", "32")
"""Options under which a generator shows faces soonest: small networks, many small steps, a short average."""
IMITATION = "60000"
"""Steps of imitation, which take about a minute."""
PLAYER = Path("unity_sample/headless/run.py")


class DemoError(RuntimeError):
    """A step that failed; the message says which, and what to do."""


def train_models(runs: Path, seconds: float, faces: int) -> None:
    """Train the one-minute assistant, which imitates, and the one-minute avatar generator, with progress bars."""
    _run("npc", "train", "--run", "minute", "--runs", str(runs), "--seconds", f"{seconds:g}", "--cloning-steps", IMITATION)
    budget = ("--minutes", f"{seconds / 60:g}", "--faces", str(faces))
    _run("avatar", "train", "--run", "minute", "--runs", str(runs), *budget, *QUICK)


def scene_source(source: str) -> str | None:
    """Return the scene model to publish, or None for a default where none is committed; `DemoError` for one that is missing."""
    if source != "default" and not checkpoint_path(source).is_file():
        raise DemoError(f'"{source}" is neither "default" nor a prior\'s run folder; train one: python -m export scene prior')
    return source if source != "default" or (DEFAULTS / f"{DEFAULT_NAME}.safetensors").is_file() else None


def export_models(runs: Path, models: Path, scene: str | None) -> None:
    """Publish the default assistant and generator, the one-minute ones, and a scene model, through the parity gate."""
    _run("npc", "onnx", "--from", "default", "--name", "assistant", "--models", str(models))
    _run("npc", "onnx", "--from", str(runs / "npc/minute"), "--name", "apprentice", "--models", str(models))
    _run("avatar", "onnx", "--from", "default", "--name", "pixel", "--models", str(models))
    _run("avatar", "onnx", "--from", str(runs / "avatar/minute"), "--name", "minute", "--models", str(models))
    if scene:
        _run("scene", "onnx", "--from", scene, "--name", "terrain", "--models", str(models))


def engine_run(web: str, out: Path) -> dict[str, Any]:
    """Drive the sidecar from the C# components inside the Unity player; return its result with timings."""
    command = [sys.executable, str(PLAYER), "--web", web, "--scenario", "demo", "--out", str(out)]
    _call(command, "or leave the engine out: make demo ENGINE=0")
    result: dict[str, Any] = json.loads((out / "result.json").read_text("utf-8"))
    return result


def _run(*arguments: str) -> None:
    _call([sys.executable, "-m", "export", *arguments], "the lines above say why")


def _call(command: list[str], advice: str) -> None:
    print(f"\n$ python {shlex.join(command[1:])}", flush=True)
    code = subprocess.run(command, check=False).returncode
    if code:
        raise DemoError(f"`python {shlex.join(command[1:])}` ended with exit code {code}; {advice}")
