"""The commands of `python -m export avatar`."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro

from export.avatar.adapt import AdaptConfig
from export.avatar.config import TrainConfig
from export.avatar.control_commands import ControlsConfig, EncoderConfig
from export.avatar.data_command import DataConfig
from export.avatar.default_command import DefaultConfig
from export.avatar.evaluate import EvaluateConfig
from export.avatar.pictures import straight
from export.avatar.pretrain import PretrainConfig
from export.avatar.sample import draw
from export.avatar.to_onnx import export_avatar
from export.avatar.train import Stopped, train
from export.avatar.trained import open_trained
from export.avatar.trainer import Diverged
from export.parity import ParityError
from export.run_log import picture_grid, save_picture

Source = Annotated[str, tyro.conf.arg(name="from")]
MAX_ENLARGE = 64


@dataclass(frozen=True)
class SampleConfig:
    """Draws the pictures of some seeds, the same that the sidecar gives, as one PNG grid with straight alpha."""

    seed: tuple[int, ...] = (0,)
    """One seed or several."""
    count: int = 0
    """Draw so many pictures, from the first seed upwards; 0 draws the given seeds."""
    source: Source = "default"
    """default, a checkpoint file or a run folder."""
    truncation: float | None = None
    """1 for all the variety, 0 for the mean face; left out, the model's own."""
    control: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE"), tyro.conf.UseAppendAction] = ()
    """Move a slider for all pictures, such as --control glasses=0.8; can be given several times."""
    columns: int = 8
    """Pictures in a row of the grid."""
    enlarge: int = 1
    """Draw each pixel as a square of so many pixels, at most 64."""
    out: Path = Path("out/avatars.png")
    """The PNG file to write."""

    def run(self) -> None:
        """Writes the grid and prints its path."""
        if self.count < 0 or self.columns < 1 or not 1 <= self.enlarge <= MAX_ENLARGE:
            given = f"count {self.count}, columns {self.columns}, enlarge {self.enlarge}"
            raise ValueError(f"no grid with {given}; count must not be below 0, columns above 0, enlarge 1 to {MAX_ENLARGE}")
        seeds = range(self.seed[0], self.seed[0] + self.count) if self.count else self.seed
        trained = open_trained(self.source)
        offset = trained.offset(named_values(self.control)) if self.control else None
        images = straight(draw(trained.generator, seeds, self.truncation, offset=offset))
        self.out.parent.mkdir(parents=True, exist_ok=True)
        save_picture(picture_grid(images, min(self.columns, len(images))), self.out, enlarge=self.enlarge)
        print(self.out)


@dataclass(frozen=True)
class OnnxConfig:
    """Publishes a generator as an ONNX bundle, after checking that ONNX Runtime draws what PyTorch draws."""

    source: Source = "default"
    """default, a checkpoint file or a run folder."""
    name: str = "pixel"
    """Name of the model in the models folder."""
    models: Path = Path("models")
    """The models folder that the sidecar serves."""
    version: int = 0
    """Version to publish; 0 takes the next free one."""

    def run(self) -> None:
        """Publishes the bundle and prints its folder."""
        print(export_avatar(open_trained(self.source), self.models, self.name, self.version or None))


def named_values(words: Sequence[str]) -> dict[str, float]:
    """Reads words such as glasses=0.8; raises ValueError for any other form and for a name given twice."""
    values: dict[str, float] = {}
    for word in words:
        name, equals, number = word.partition("=")
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if not (name and equals and math.isfinite(value)) or name in values:
            raise ValueError(f'--control is "{word}"; give each slider once as NAME=VALUE, for example glasses=0.8')
        values[name] = value
    return values


COMMANDS: dict[str, Callable[..., Any]] = {
    "data": DataConfig,
    "pretrain": PretrainConfig,
    "train": TrainConfig,
    "sample": SampleConfig,
    "onnx": OnnxConfig,
    "default": DefaultConfig,
    "evaluate": EvaluateConfig,
    "adapt": AdaptConfig,
    "controls": ControlsConfig,
    "encoder": EncoderConfig,
}


def main(arguments: Sequence[str]) -> None:
    """Runs one command; what the user got wrong is printed in one line, with exit code 1.

    A training that a signal stopped has saved, which is no mistake: its checkpoint is printed as always, and how to go on.
    """
    config = tyro.extras.subcommand_cli_from_dict(COMMANDS, args=arguments, prog="python -m export avatar")
    try:
        if isinstance(config, TrainConfig):
            print(train(config))
        elif isinstance(config, PretrainConfig):
            print(config.pretrain())
        else:
            config.run()
    except Stopped as stopped:
        if stopped.path:
            print(stopped.path)
        print(stopped, file=sys.stderr)
    except KeyboardInterrupt:
        sys.exit("stopped")
    except (ValueError, OSError, ParityError, Diverged) as error:
        sys.exit(f"error: {error}")
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        reason = f": {reason_of(error)}" if str(error) else ""
        sys.exit(f"error: not enough memory{reason}; ask for fewer or smaller pictures, or for a smaller --batch in training")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether NumPy, PyTorch's CUDA allocator or its CPU allocator (a plain RuntimeError) found no memory."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return "DefaultCPUAllocator: " in str(error) and ("can't allocate" in str(error) or "not enough memory" in str(error))


def reason_of(error: BaseException) -> str:
    """What was asked for, without the place in PyTorch's source and its advice."""
    first = str(error).splitlines()[0].split("DefaultCPUAllocator: ")[-1]
    return ". ".join(first.split(". ")[:2]).removesuffix(".")
