"""`python -m bench.soak`: an hour of a game as fast as it goes, to see that the sidecar's memory stays as it is.

A tick is one ChooseActions call. Game time passes in ticks of a sixtieth of a second: each second of it asks for an avatar,
every tenth for a tile of a fresh world, each minute for a morph and for a row of tiles, ends the session, and replaces the
policy with a new version of itself. The client is this process, the sidecar one of its own.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import psutil
import tyro
from tqdm import tqdm

from bench.cases import actions, latest
from bench.processes import sidecar
from bench.results import RESULTS, origin, write_part
from bridge.client import Client
from bridge.model_card import CARD_FILE, read_card, write_card
from bridge.v1 import asset_pb2, npc_service_pb2
from bridge.v1 import avatar_service_pb2 as avatar_pb

TICKS_PER_SECOND, MINUTE = 60, 3600
SAMPLE = 360
"""Ticks between two looks at the sidecar's memory."""
SETTLED = 0.4
"""Share of the run after which memory is expected to stay: allocators and caches have what they need by then."""
MAX_GROWTH_MIB = 16.0


@dataclass(frozen=True)
class SoakConfig:
    """Play an hour of a game against a sidecar and write what became of its memory."""

    models: Path = Path("models")
    """Folder with the bundles; it is copied."""
    policy: str = "assistant"
    """Name of the npc bundle."""
    avatar: str = "pixel"
    """Name of the avatar bundle; one that is not there is left out."""
    scene: str = "terrain"
    """Name of the scene bundle; one that is not there is left out."""
    agents: int = 64
    """Agents in each tick."""
    ticks: int = 216_000
    """Ticks to play; an hour at 60 Hz has 216,000."""
    seconds: float = 0.0
    """Seconds after which the run ends before its last tick; 0 plays them all."""
    out: Path = RESULTS
    """File to write."""


@dataclass
class Run:
    """What happened: milliseconds of each tick, calls by method, failures, and resident MiB by tick."""

    milliseconds: list[float] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    versions: set[int] = field(default_factory=set)
    failures: list[str] = field(default_factory=list)
    memory: list[tuple[int, float]] = field(default_factory=list)
    seconds: float = 0.0

    def resident(self, start: float, end: float) -> float:
        """Return the median of resident MiB between two shares of the ticks that were played."""
        last = len(self.milliseconds)
        return float(np.median([mib for tick, mib in self.memory if start * last <= tick <= end * last]))


class Game:
    """A client that plays; what it asks for beside its ticks is made up of the tick's number."""

    def __init__(self, config: SoakConfig, client: Client, process: psutil.Process, models: Path, run: Run) -> None:
        self._config = config
        self._client = client
        self._process = process
        self._models = models
        self._run = run
        self._request = actions(models, config.policy, config.agents).request
        self._stub = client.channel.unary_unary(
            "/bridge.v1.NpcService/ChooseActions",
            request_serializer=npc_service_pb2.ChooseActionsRequest.SerializeToString,
            response_deserializer=npc_service_pb2.ChooseActionsResponse.FromString,
        )
        self._has = {name: (models / name).is_dir() for name in (config.avatar, config.scene)}

    def play(self) -> None:
        """Play to the last tick, or to the end of the time."""
        start = time.perf_counter()
        for tick in tqdm(range(self._config.ticks), unit="tick"):
            self._tick(tick)
            if tick % SAMPLE == 0:
                self._run.memory.append((tick, self._process.memory_info().rss / 2**20))
            if tick % TICKS_PER_SECOND == 0:
                self._second(tick // TICKS_PER_SECOND)
            if self._config.seconds and time.perf_counter() - start > self._config.seconds:
                break
        self._run.seconds = time.perf_counter() - start

    def _tick(self, tick: int) -> None:
        self._request.session_id, self._request.tick = f"soak-{tick // MINUTE}", tick
        self._request.groups[0].episode_starts[:] = [tick % MINUTE == 0] * self._config.agents
        start = time.perf_counter()
        answer = self._call("ChooseActions", lambda: self._stub(self._request, timeout=30))
        self._run.milliseconds.append((time.perf_counter() - start) * 1000)
        if answer is not None:
            self._run.versions.add(answer.groups[0].model.version)

    def _second(self, second: int) -> None:
        config, client = self._config, self._client
        if self._has[config.avatar]:
            spec = avatar_pb.AvatarSpec(seeds=[second], image=asset_pb2.ImageSpec(format=asset_pb2.IMAGE_FORMAT_PNG))
            self._call("GenerateAvatars", lambda: client.generate_avatars(config.avatar, spec))
        if self._has[config.scene] and second % 10 == 0:
            self._call("GenerateScene", lambda: client.generate_scene(config.scene, [second], [(0, 0)]))
        if second % 60 == 0:
            self._minute(second // 60)

    def _minute(self, minute: int) -> None:
        config, client = self._config, self._client
        if self._has[config.avatar]:
            spec = avatar_pb.AvatarSpec(seeds=[minute, minute + 1])
            path = avatar_pb.MorphAvatarRequest(spec=spec, seconds_per_key=0.2, pacing=avatar_pb.PACING_UNPACED)
            path.model.name = config.avatar
            self._call("MorphAvatar", lambda: self._all("/bridge.v1.AvatarService/MorphAvatar", path))
        if self._has[config.scene]:
            row = [(x, 0) for x in range(4)]
            self._call("StreamScenes", lambda: list(client.stream_scenes(config.scene, minute, row)))
        if minute:
            self._call("EndSession", lambda: client.end_session(f"soak-{minute - 1}"))
        self._publish()

    def _all(self, path: str, request: Any) -> None:
        """Call a method, a stream or not, and read all that comes."""
        call = self._client.channel.unary_stream(path, request_serializer=type(request).SerializeToString)
        for _ in call(request, timeout=120):
            pass

    def _publish(self) -> None:
        """Put the next version of the policy in its place, and remove those before the one that serves."""
        name = self._config.policy
        newest = latest(self._models, name)
        for old in (self._models / name).iterdir():
            if int(old.name) < max(self._run.versions):
                shutil.rmtree(old)
        version = int(newest.name) + 1
        written = self._models / ".written"
        shutil.copytree(newest, written)
        write_card(msgspec.structs.replace(read_card(newest / CARD_FILE), version=version), written / CARD_FILE)
        written.rename(self._models / name / str(version))

    def _call(self, method: str, function: Callable[[], Any]) -> Any:
        self._run.calls[method] += 1
        try:
            return function()
        except Exception as error:
            self._run.failures.append(f"{method}: {error}")
            return None


def soak(config: SoakConfig) -> Run:
    """Play against a sidecar on a copy of the models."""
    run = Run()
    with tempfile.TemporaryDirectory() as folder:
        models = Path(folder) / "models"
        for name in (config.policy, config.avatar, config.scene):
            if (config.models / name).is_dir():
                newest = latest(config.models, name)
                shutil.copytree(newest, models / name / newest.name)
        options = ("--latest", "1", "--watch-seconds", "0.2", "--limits.cached-tiles", "64")
        with sidecar(models, *options) as live, Client(live.address) as client:
            Game(config, client, live.process, models, run).play()
    return run


def report(config: SoakConfig, run: Run) -> str:
    """Return this bench's part of RESULTS.md."""
    ticks = np.array(run.milliseconds)
    rows = [
        ("ticks", f"{len(ticks):,} (of {config.ticks:,}) of {config.agents} agents"),
        ("game time; real time", f"{len(ticks) / TICKS_PER_SECOND / 60:.1f} min; {run.seconds / 60:.1f} min"),
        ("a tick, p50; p99; longest", f"{np.median(ticks):.2f}; {np.percentile(ticks, 99):.2f}; {ticks.max():.1f} ms"),
        *((f"{method} calls", f"{count:,}") for method, count in sorted(run.calls.items())),
        ("versions of the policy that answered", f"{len(run.versions)}"),
        ("failed calls", f"{len(run.failures)}"),
        ("resident memory, first tick", f"{run.memory[0][1]:.1f} MiB"),
        (
            f"resident memory, {SETTLED:.0%} to {SETTLED + 0.1:.0%} of the ticks, median",
            f"{run.resident(SETTLED, SETTLED + 0.1):.1f} MiB",
        ),
        ("resident memory, last tenth of the ticks, median", f"{run.resident(0.9, 1.0):.1f} MiB"),
        ("resident memory, highest", f"{max(mib for _, mib in run.memory):.1f} MiB"),
    ]
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    return f"""## An hour of a game

{origin("bench.soak")}.

Ticks as fast as they go, one client; avatars, tiles, morphs and a new version of the policy in between.

| figure | value |
| --- | ---: |
{table}
"""


def main(config: SoakConfig) -> int:
    """Play, write the results; return 1 for calls that failed or memory that grew."""
    run = soak(config)
    write_part(config.out, "bench.soak", report(config, run))
    growth = run.resident(0.9, 1.0) - run.resident(SETTLED, SETTLED + 0.1)
    for failure in run.failures[:5]:
        print(f"failed: {failure}", file=sys.stderr)
    if growth > MAX_GROWTH_MIB:
        print(f"memory grew by {growth:.1f} MiB, expected at most {MAX_GROWTH_MIB:.0f}", file=sys.stderr)
    return int(bool(run.failures) or growth > MAX_GROWTH_MIB)


if __name__ == "__main__":
    sys.exit(main(tyro.cli(SoakConfig)))
