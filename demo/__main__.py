"""`python -m demo`: trains, exports, serves and plays, and writes pictures and a report to `out/demo/`."""

from __future__ import annotations

import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import tyro

from bench.processes import SidecarProcess, sidecar
from bridge.client import Client
from demo.avatars import draw_avatars
from demo.commands import DemoError, engine_run, export_models, scene_source, train_models
from demo.control import draw_morph, draw_projection, draw_sliders
from demo.episode import play_episodes
from demo.report import Report, write_report
from demo.scenes import draw_scenes
from demo.timing import time_calls


@dataclass(frozen=True)
class DemoConfig:
    """Run the whole path: trainers, export with the parity gate, sidecar, Python client, C# client in a Unity player."""

    out: Path = Path("out/demo")
    """Folder for everything the demo makes; it is emptied first."""
    train_seconds: float = 60.0
    """Seconds of training for the assistant and for the avatar generator each."""
    faces: int = 4000
    """Faces drawn to train the avatar generator on."""
    engine: bool = True
    """Drive the sidecar from the C# client inside a real Unity player too."""
    scene: str = "default"
    """The scene model to show: "default", or a prior's run folder. Where no default is committed, worlds are left out."""
    scene_cache: Path = Path("data/scene")
    """Folder of the worlds from which held-out tiles are cut; what is missing is made."""


def main(config: DemoConfig) -> int:
    """Run every step; return 0, or 1 after saying which step failed and what to do."""
    start = time.perf_counter()
    shutil.rmtree(config.out, ignore_errors=True)
    config.out.mkdir(parents=True)
    models = config.out / "models"
    try:
        scene = scene_source(config.scene)
        train_models(config.out / "runs", config.train_seconds, config.faces)
        export_models(config.out / "runs", models, scene)
        with sidecar(models) as process:
            report = _drive(config, process, scene)
    except DemoError as error:
        print(f"\ndemo failed: {error}", file=sys.stderr)
        return 1
    report.seconds = time.perf_counter() - start
    path = write_report(report, config.out / "report.md")
    print(f"\ndone in {report.seconds:.0f} s; look at")
    worlds = ("world.png", "reconstruction.png", "inpainting.gif", "extension.gif") if report.scenes else ()
    for name in ("avatars.png", "sliders.png", "morph.gif", "projection.png", *worlds, "npc.gif", path.name):
        print(f"  {config.out / name}")
    return 0


def _drive(config: DemoConfig, process: SidecarProcess, scene: str | None) -> Report:
    """Use the running sidecar from Python and from the engine; worlds are drawn where there is a scene model."""
    with Client(process.address) as client:
        client.wait_until_serving()
        print(f"\nsidecar ready at {process.address} and {process.web} after {process.start_seconds:.1f} s")
        draw_avatars(client, config.out / "avatars.png", config.train_seconds)
        draw_sliders(client, "pixel", config.out / "sliders.png")
        morph_rate = draw_morph(client, "pixel", config.out / "morph.gif")
        distance = draw_projection(client, "pixel", config.out / "projection.png", Path("data/avatar"))
        scenes = draw_scenes(client, "terrain", config.out, config.scene_cache) if scene else None
        episodes = play_episodes(client, config.out / "npc.gif")
        rows = time_calls(client)
    engine = engine_run(process.web, config.out / "engine") if config.engine else None
    return Report(
        rows=rows,
        episodes=episodes,
        train_seconds=config.train_seconds,
        engine=engine,
        models=config.out / "models",
        start=process.start_seconds,
        morph_rate=morph_rate,
        projection_distance=distance,
        scenes=scenes,
    )


if __name__ == "__main__":
    sys.exit(main(tyro.cli(DemoConfig, prog="python -m demo")))
