"""`python -m export avatar pretrain`: a generator that draws before it plays, for runs of hours instead of weeks.

First an autoencoder: an encoder with the discriminator's layers finds the style w of a picture and the synthesis network
draws it again (VAE-GAN, Larsen et al. 2016, arXiv:1512.09300, here with noise of a fixed deviation on w). Then the mapping
network, a flow, learns to give the encoder's styles, far more cheaply than anything over pictures. The checkpoint has both,
and a discriminator that begins with the encoder's layers: give it to `train --start-from`. Beside it, drawing.pt holds the
autoencoder alone, from which a stopped run goes on.
"""

from __future__ import annotations

import dataclasses
import math
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from export import checkpoint
from export.avatar import picture_folder
from export.avatar.autoencoder import PictureEncoder
from export.avatar.batches import batch_of
from export.avatar.config import TrainConfig
from export.avatar.drawing import DRAWING_KIND, WARM_UP_STEPS, Drawing, begin_with
from export.avatar.model import ModelConfig
from export.avatar.pictures import straight
from export.avatar.players import schedule
from export.avatar.sample import draw
from export.avatar.style_flow import FlowConfig, FlowMatching
from export.avatar.train import CHECKPOINT, KIND, Stopped, load_data
from export.avatar.trained import command_line, open_trained
from export.avatar.trainer import Diverged, Trainer
from export.run_log import RunLog, write_config
from export.stopping import stop_signals

DRAWING = "drawing.pt"


@dataclass(frozen=True)
class PretrainConfig:
    """Teaches a generator to draw the pictures of an encoder's styles; writes a checkpoint to start training from."""

    run: str = "pretrained"
    """Name of the run: its folder is <runs>/avatar/<run>."""
    runs: Path = Path("runs")
    """Folder of all runs."""
    source: str = "pixel-art"
    """The pictures: a built-in DiceBear style or "folder" for your own."""
    path: str = ""
    """The folder of pictures for --source folder."""
    licence: str = "unknown"
    """SPDX licence of the pictures in the folder."""
    faces: int = 30_000
    """How many built-in faces to draw."""
    minimum: int = picture_folder.MINIMUM
    """Stop with an error when a folder gives fewer pictures."""
    cache: Path = Path("data/avatar")
    """Folder where prepared pictures are kept."""
    model: ModelConfig = field(default_factory=lambda: ModelConfig(mapping="flow"))
    """Shape of both networks, the same as for the training that follows; the mapping network is a flow."""
    kimg: float = 100.0
    """Thousands of pictures to draw again."""
    batch: int = 16
    """Pictures in a step: small ones and many steps learn soonest."""
    learning_rate: float = 0.01
    """Learning rate of Adam at the start; it falls along a quarter of a cosine."""
    style_noise: float = 0.15
    """Deviation of the noise on the styles, whose own deviation is 1: what the mapping network may be off by."""
    distance_weight: float = 0.0
    """With a palette of one colour a cell: weight of how far the blended colour is off, beside the cross entropy, to which
    all wrong colours are alike."""
    encoded: int = 20_000
    """Pictures whose styles the mapping network learns from."""
    flow: FlowConfig = field(default_factory=FlowConfig)
    """How the mapping network learns."""
    start_from: str = ""
    """Begin with another run's autoencoder (its folder) or with the networks of a default (its name) or of a checkpoint.

    Every layer of the same name and shape keeps its weights.
    """
    encoder_kimg: float = 20.0
    """Thousands of pictures from which the encoder learns alone where --start-from has none: a default, a checkpoint."""
    seed: int = 1
    """Seed of weights, order of pictures and noise."""
    save_minutes: float = 5.0
    """Minutes between two states of the autoencoder, from which a stopped run goes on."""
    resume: bool = False
    """Go on where a stopped run was; with a finished autoencoder only the mapping network learns again."""
    threads: int = 0
    """CPU threads of PyTorch; 0 leaves its default."""

    def __post_init__(self) -> None:
        for name in ("minimum", "kimg", "batch", "learning_rate", "encoded"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be above 0")
        if self.model.mapping != "flow":
            raise ValueError(f"mapping is {self.model.mapping}; only a flow is pretrained: give --model.mapping flow")
        for name in ("style_noise", "encoder_kimg", "distance_weight"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must not be below 0")
        one_colour = self.model.palette_size and self.model.palette_mix == "one"
        if self.distance_weight and not one_colour:
            raise ValueError(f"distance_weight is {self.distance_weight}; only a palette of one colour a cell has a use for it")

    @property
    def training(self) -> TrainConfig:
        """The options that a training run on the same pictures would have."""
        shared = ("run", "runs", "source", "path", "licence", "faces", "minimum", "cache", "model", "batch", "seed", "threads")
        return TrainConfig(**{name: getattr(self, name) for name in shared}, mirror=False)

    def pretrain(self) -> Path:
        """Trains both stages; returns the path of the checkpoint.

        Raises ValueError when the run exists, Diverged when a loss or a weight is no number: what was saved before stays; and
        Stopped when a signal ended the autoencoder, which is saved then.
        """
        config = self.training
        path = config.folder / CHECKPOINT
        for existing in (path, config.folder / DRAWING):
            if existing.exists() and not self.resume:
                raise ValueError(f'"{existing}" exists; give --resume to go on, or choose another --run name')
        if self.threads:
            torch.set_num_threads(self.threads)
        dataset = load_data(config)
        trainer = Trainer(config, dataset.images)
        trainer.datasheet = dataset.datasheet.to_json()
        with RunLog(config.folder) as log:
            write_config(config.folder, config.to_json())
            drawing = Drawing(self, trainer.generator.synthesis)
            self._learn_to_draw(drawing, dataset.images, log)
            for generator in (trainer.generator, trainer.average):
                generator.synthesis.load_state_dict(drawing.average.state_dict())
            started, encoder = time.monotonic(), drawing.encoder.eval()
            self._learn_styles(trainer, encoder, dataset.images, log)
            begin_with(trainer.discriminator, encoder.layers.state_dict())
            trainer.step, trainer.seconds = drawing.step, drawing.seconds + time.monotonic() - started
            trainer.earlier = drawing.earlier
            images = straight(draw(trainer.average, range(64)))
            enlarge = max(1, 128 // self.model.image_size)
            log.pictures("samples", images, trainer.images_seen, columns=8, enlarge=enlarge)
            checkpoint.save(path, KIND, trainer.state() | {"command": self.command})
        return path

    @property
    def command(self) -> str:
        """The command that does this again."""
        return command_line("pretrain", dataclasses.asdict(self), dataclasses.asdict(PretrainConfig()))

    def _learn_to_draw(self, drawing: Drawing, images: np.ndarray, log: RunLog) -> None:
        """The autoencoder, from where it stands to its end; raises Stopped when SIGINT or SIGTERM comes."""
        path, steps = self.training.folder / DRAWING, max(1, int(self.kimg * 1000) // self.batch)
        if path.exists():
            drawing.restore(checkpoint.load(path, DRAWING_KIND))
        elif self.start_from:
            self._begin(drawing)
        saved = begun = time.monotonic()
        before = drawing.seconds
        bar = tqdm(range(drawing.step, steps), desc="drawing again", unit="step", initial=drawing.step, total=steps)
        with stop_signals() as signals:
            for step in bar:
                value = drawing.train_step(images, schedule(step, steps, WARM_UP_STEPS))
                drawing.seconds = before + time.monotonic() - begun
                save = step == steps - 1 or bool(signals) or time.monotonic() - saved > self.save_minutes * 60
                if save or step % 100 == 99:
                    self._check(drawing, value.item())
                    log.scalars({"pretrain/loss": value.item()}, (step + 1) * self.batch)
                if save:
                    saved = time.monotonic()
                    checkpoint.save(path, DRAWING_KIND, drawing.state())
                if signals and step < steps - 1:
                    raise Stopped(path, drawing.step * self.batch)

    def _check(self, drawing: Drawing, loss: float) -> None:
        """Raises Diverged, and names what is kept, when the loss or a weight is not a finite number."""
        wrong = [f"weight {name}" for name in drawing.not_finite()]
        if math.isfinite(loss) and not wrong:
            return
        what = f"{wrong[0]} is not finite" if math.isfinite(loss) else f"the loss became {loss}"
        path = self.training.folder / DRAWING
        good = f'the last good state is "{path}"' if path.exists() else "there is no good state yet"
        raise Diverged(f"{what} after {drawing.step} steps; {good}; a lower --learning-rate is steadier")

    def _begin(self, drawing: Drawing) -> None:
        """What `start_from` names becomes the autoencoder's beginning."""
        path = Path(self.start_from) / DRAWING
        if path.is_file():
            drawing.begin_with(checkpoint.load(path, DRAWING_KIND))
        else:
            drawing.begin_with_trained(open_trained(self.start_from), int(self.encoder_kimg * 1000) // self.batch)

    def _learn_styles(self, trainer: Trainer, encoder: PictureEncoder, images: np.ndarray, log: RunLog) -> None:
        """Flow matching to the styles of some pictures; the trainer's generators take the averaged mapping network."""
        chosen = np.random.default_rng(self.seed).permutation(len(images))[: self.encoded]
        parts = np.array_split(chosen, -(-len(chosen) // 64))
        with torch.no_grad():
            styles = torch.cat([encoder(batch_of(images, part)) for part in tqdm(parts, desc="encoding", unit="batch")])
        matching = FlowMatching(self.flow, trainer.generator.mapping, styles, self.seed)
        for step in tqdm(range(self.flow.steps), desc="styles", unit="step"):
            loss = matching.step()
            if step % 500 == 499 or step == self.flow.steps - 1:
                if not math.isfinite(loss) or not matching.is_finite():
                    kept = f'the autoencoder is in "{self.training.folder / DRAWING}"'
                    what = f"the mapping network diverged after {step + 1} steps, its loss is {loss}"
                    raise Diverged(f"{what}; {kept}; go on with --resume and a lower --flow.learning-rate")
                log.scalars({"pretrain/flow": loss}, int(self.kimg * 1000) + step)
        for generator in (trainer.generator, trainer.average):
            generator.mapping.load_state_dict(matching.averaged().state_dict())
