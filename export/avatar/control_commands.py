"""`python -m export avatar controls` and `python -m export avatar encoder`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro

from bridge import seeds as draws
from export.avatar import companions, control_report, data, encoder_report, picture_folder
from export.avatar.attributes import ATTRIBUTES, attribute_table
from export.avatar.classifier import AttributePredictor, fit_predictor, read_held_out
from export.avatar.companions import Projector
from export.avatar.control_fit import FitConfig, fit_controls
from export.avatar.controls import Controls
from export.avatar.encoder_training import EncoderRecipe, EncoderTrainer, train_encoder
from export.avatar.model import Generator
from export.avatar.trained import DEFAULT_NAME, DEFAULTS, Trained, open_trained, write_default

Source = Annotated[str, tyro.conf.arg(name="from")]
HELD_OUT = 1000
"""Drawn faces on which the attribute predictors are measured, at most."""


def pictures_of(trained: Trained, *, count: int, split: data.Split, cache: Path, path: str = "") -> data.Dataset | None:
    """Loads pictures like those that a generator was trained on; None for a folder whose path is not given."""
    config = trained.record["config"]
    shape = config["model"]
    if config["source"] == data.FOLDER:
        if not path:
            return None
        count, split = 0, "train"
    return data.load(
        config["source"],
        path,
        size=shape["image_size"],
        pixel_size=shape["pixel_size"],
        channels=shape["image_channels"],
        count=count,
        seed=config["seed"],
        split=split,
        cache=cache,
        minimum=min(picture_folder.MINIMUM, trained.datasheet.count),
    )


def home_of(source: str) -> tuple[str, Path]:
    """The name of the default, or "" for a run, and the folder where files of the run are kept."""
    name = DEFAULT_NAME if source == "default" else source
    if (DEFAULTS / f"{name}.safetensors").is_file():
        return name, Path("runs") / "avatar" / name
    path = Path(source)
    return "", path if path.is_dir() else path.parent


@dataclass(frozen=True)
class ControlsConfig:
    """Finds named sliders for a generator, measures them, and keeps them with it.

    For a run: controls.safetensors and controls.json beside its checkpoint; for a default: in its own files. Takes a few
    minutes at 32 px on one core. Generators of built-in styles get a slider for each attribute of the labels; those of
    folders get the axes without a name.
    """

    source: Source = "default"
    """default, the name of a default, a checkpoint file or a run folder."""
    find: bool = True
    """Find new sliders; --no-find measures those that the generator has, such as the ones an adapted generator has kept."""
    fit: FitConfig = field(default_factory=FitConfig)
    """How the sliders are found."""
    pictures: int = 12_000
    """Drawn faces for the two attribute predictors: one half finds the sliders, the other half measures them."""
    shown: int = 24_000
    """Pictures shown to each of the two attribute predictors in training."""
    attributes: tuple[str, ...] = ()
    """Only these attributes; empty for all that the style has."""
    readable: float = 0.3
    """Leave out attributes that are read off new pictures with a lower R^2."""
    measured: int = 128
    """New faces on which flips and side effects are measured."""
    compared: int = 24
    """How many of them the move of identity is measured on."""
    seed: tuple[int, ...] = (7,)
    """Seeds of the faces in the picture."""
    cache: Path = Path("data/avatar")
    """Folder of prepared pictures."""
    out: Path = Path("out/controls")
    """Folder for controls.png, one slider a row, and controls.md, the table of what was measured."""
    threads: int = 0
    """CPU threads of PyTorch; 0 leaves its default."""

    def run(self) -> None:
        """Fits, measures, writes, and prints the table."""
        if self.threads:
            torch.set_num_threads(self.threads)
        trained = open_trained(self.source)
        if not self.find and trained.controls is None:
            raise ValueError(f'"{self.source}" has no sliders to measure; leave out --no-find')
        finder, judge = self.predictors(trained)
        kept = None if self.find else trained.controls
        controls = kept or fit_controls(trained.generator, finder, self.fit)
        controls = control_report.measure_controls(
            trained.generator, controls, judge, faces=self.measured, compared=self.compared
        )
        if self.find:
            controls, weak = control_report.without_weak(controls, self.fit.least)
            for slider in weak:
                print(f"left out {slider.name}: it brings {slider.measured['flips_on']:.0%} of the faces from without to with")
        print(keep(self.source, dataclasses.replace(trained, controls=controls)))
        self.out.mkdir(parents=True, exist_ok=True)
        (self.out / "controls.md").write_text(control_report.table(controls) + "\n", "utf-8")
        save_controls_sheet(trained.generator, controls, self.seed, self.out / "controls.png")
        print(control_report.table(controls))
        print(self.out / "controls.png")

    def predictors(self, trained: Trained) -> tuple[AttributePredictor | None, AttributePredictor | None]:
        """Trains both attribute predictors and prints how well each attribute is read; None without labels."""
        style = trained.record["config"]["source"]
        if style not in ATTRIBUTES:
            return None, None
        drawn = pictures_of(trained, count=self.pictures, split="train", cache=self.cache)
        unseen = pictures_of(trained, count=min(HELD_OUT, self.pictures), split="held-out", cache=self.cache)
        if drawn is None or unseen is None:
            return None, None
        names, table = self.choose(*attribute_table(style, drawn.labels))
        _, held_out = self.choose(*attribute_table(style, unseen.labels))
        cell = trained.generator.config.pixel_size
        found = []
        for half in (0, 1):
            rows = slice(half, None, 2)
            predictor = fit_predictor(drawn.images[rows], names, table[rows], pixel_size=cell, shown=self.shown, seed=half)
            readings = read_held_out(predictor, unseen.images, held_out)
            if half == 0:
                for name, reading in readings.items():
                    print(f"{name:20} read with accuracy {reading.accuracy:.3f}, R^2 {reading.r2:.3f}")
                kept = [name for name, reading in readings.items() if reading.r2 >= self.readable]
            found.append(predictor.only(kept))
        return (found[0], found[1]) if kept else (None, None)

    def choose(self, names: list[str], table: np.ndarray) -> tuple[list[str], np.ndarray]:
        """Keeps the attributes asked for; raises ValueError for one that there is not."""
        unknown = sorted(set(self.attributes) - set(names))
        if unknown:
            raise ValueError(f"attributes {unknown} are not among those of this style, {names}")
        wanted = [name for name in names if not self.attributes or name in self.attributes]
        return wanted, np.ascontiguousarray(table[:, [names.index(name) for name in wanted]])


@dataclass(frozen=True)
class EncoderConfig:
    """Trains the encoder that turns pictures into avatars, measures it, and keeps it with the generator.

    For a run: encoder.safetensors and encoder.json beside its checkpoint; for a default: in its own files. Learns from the
    generator's own avatars and from the pictures that it was trained on; stops by itself.
    """

    source: Source = "default"
    """default, the name of a default, a checkpoint file or a run folder."""
    minutes: float = 15.0
    """How long to train in this session; 15 minutes of a core at 32 px."""
    resume: bool = False
    """Go on from encoder.pt, the state that the last session left."""
    recipe: EncoderRecipe = field(default_factory=EncoderRecipe)
    """What the encoder is trained with."""
    pictures: int = 12_000
    """Drawn faces of the generator's style to learn from, besides its avatars."""
    path: str = ""
    """For a generator of a folder: the folder."""
    steps: int = 5
    """Most steps of refinement to measure; the card takes the number that is best in pixels."""
    measured: int = 200
    """Held-out pictures to measure on; a folder has none, so its own pictures are measured."""
    cache: Path = Path("data/avatar")
    """Folder of prepared pictures."""
    out: Path = Path("out/encoder")
    """Folder for projections.png, held-out pictures over their avatars, and encoder.md, the distances."""
    threads: int = 0
    """CPU threads of PyTorch; 0 leaves its default."""

    def run(self) -> None:
        """Trains, measures, writes, and prints the table."""
        if not (self.minutes >= 0 and 1 <= self.steps <= 8 and self.measured >= 1):
            given = f"minutes {self.minutes}, steps {self.steps}, measured {self.measured}"
            raise ValueError(f"no encoder with {given}; minutes must not be below 0, steps from 1 to 8, measured at least 1")
        if self.threads:
            torch.set_num_threads(self.threads)
        trained = open_trained(self.source)
        _, folder = home_of(self.source)
        projector, held_out = self.train(trained, folder / "encoder.pt")
        print(keep(self.source, dataclasses.replace(trained, projector=projector)))
        self.out.mkdir(parents=True, exist_ok=True)
        (self.out / "encoder.md").write_text(encoder_report.table(projector.measured) + "\n", "utf-8")
        shown = held_out[:32]
        rng = np.random.default_rng(0)
        avatars = encoder_report.projected(trained.generator, projector.encoder, shown, projector.steps, rng)[-1]
        encoder_report.save_pairs(shown, avatars, self.out / "projections.png")
        print(encoder_report.table(projector.measured))
        print(self.out / "projections.png")

    def train(self, trained: Trained, state: Path) -> tuple[Projector, np.ndarray]:
        """Trains and measures; returns the encoder and the pictures it was measured on."""
        drawn = pictures_of(trained, count=self.pictures, split="train", cache=self.cache, path=self.path)
        unseen = pictures_of(trained, count=self.measured, split="held-out", cache=self.cache, path=self.path)
        if unseen is None:
            raise ValueError("this generator was trained on a folder; give it as --path")
        images = drawn.images if drawn else np.empty((0,), np.uint8)
        trainer = EncoderTrainer(trained.generator, images, self.recipe)
        digest = companions.generator_digest(trained.generator)
        if self.resume:
            trainer.load(state, digest)
        encoder = train_encoder(trainer, self.minutes)
        trainer.save(state, digest)
        # What is measured is what is kept: float16 weights.
        encoder.load_state_dict({key: value.half().float() for key, value in encoder.state_dict().items()})
        held_out = unseen.images[: self.measured]
        report: dict[str, Any] = {"minutes": round(trainer.seconds / 60, 1), "training_steps": trainer.step}
        report |= encoder_report.measure_projection(trained.generator, encoder, held_out, steps=self.steps)
        rows = report["distance"]
        steps = min(range(1, self.steps + 1), key=lambda count: rows[f"steps_{count}"]["pixels"])
        return Projector(encoder, steps, report), held_out


def keep(source: str, trained: Trained) -> Path:
    """Writes sliders and encoder where their generator is: into a default's files, or beside a run's checkpoint."""
    name, folder = home_of(source)
    if name:
        return write_default(trained, name)
    path = folder
    if trained.controls:
        path = companions.write_controls(trained.controls, folder, trained.generator)
    if trained.projector:
        path = companions.write_projector(trained.projector, folder, trained.generator)
    return path


def save_controls_sheet(generator: Generator, controls: Controls, seeds: tuple[int, ...], path: Path) -> None:
    """Saves one slider a row for the faces of some seeds, at the default truncation."""
    z = torch.from_numpy(draws.latents(list(seeds), generator.config.latent_size))
    noise = torch.from_numpy(draws.avatar_noise(list(seeds), generator.config.noise_size))
    mean = generator.mapping.w_mean
    w = mean + generator.config.default_truncation * (generator.mapping.to_w(z) - mean)
    styles = w[:, None].expand(-1, generator.config.num_layers, -1)
    control_report.save_sheet(generator, controls, styles, noise, path, enlarge=max(1, 64 // generator.config.image_size))
