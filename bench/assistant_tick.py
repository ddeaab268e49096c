"""`python -m bench.assistant_tick`: ticks of the default assistant, five senses and a mask, beside bare ONNX Runtime."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import tyro
from tqdm import tqdm

from bench.cases import AGENTS, actions
from bench.processes import sidecar
from bench.results import RESULTS, origin, write_part
from bench.run import VERSIONS, beside_echo, table


@dataclass(frozen=True)
class AssistantConfig:
    """Export the committed assistant, serve it, and measure ticks of it."""

    models: Path | None = None
    """Folder with a bundle of the assistant that was exported before; by default it is exported into a temporary one."""
    policy: str = "assistant"
    """Name of the bundle."""
    agents: tuple[int, ...] = AGENTS
    """Numbers of agents in one call."""
    seconds: float = 8.0
    """Seconds for each number of agents."""
    out: Path = RESULTS
    """File to write."""


def main(config: AssistantConfig) -> None:
    """Measure and write the results."""
    with tempfile.TemporaryDirectory() as folder:
        models = config.models or _export(Path(folder), config.policy)
        with sidecar(models) as process:
            cases = [actions(models, config.policy, agents) for agents in config.agents]
            timings = [beside_echo(case, process.address, Path(folder), config.seconds) for case in tqdm(cases, unit="case")]
        text = HEADER.format(origin=origin("bench.assistant_tick"), versions=VERSIONS) + "\n".join(table(timings)) + "\n"
    write_part(config.out, "bench.assistant_tick", text)
    print(f"wrote {config.out}")


def _export(models: Path, name: str) -> Path:
    command = [sys.executable, "-m", "export", "npc", "onnx", "--from", "default", "--name", name, "--models", str(models)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return models


HEADER = """## Ticks of the default assistant

{origin}; {versions}.

The committed assistant: five observations of 232 numbers in all and a mask of 17 choices an agent. Milliseconds a call, as in
the overhead of the sidecar: *ONNX Runtime* runs the same batch in the client's process, *gRPC echo* answers the same bytes,
overhead = sidecar / (echo + ONNX Runtime); the three take turns call by call.

"""

if __name__ == "__main__":
    main(tyro.cli(AssistantConfig))
