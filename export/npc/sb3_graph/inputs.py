"""From raw observations to what a policy was trained on: axes of pictures, stacked frames and normalisation, in the graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from gymnasium import spaces
from torch import Tensor, nn

from bridge.model_card import TensorSpec
from export.npc.sb3_graph.normalizer import Statistics
from export.npc.spaces import NO_NOTES, Notes, Space, dtype_of, is_channels_first, is_image, listed, observation_spaces, ranges

Array = npt.NDArray[Any]
HWC, CHW = "HWC", "CHW"
LAYOUTS = {CHW: "HWC", HWC: "CHW"}


@dataclass(frozen=True)
class Feature:
    """One observation: how its raw values become what the policy takes.

    `space` is the policy's own, with all stacked frames. Raw values are one frame, a picture with its axes as `layout` says.
    """

    name: str
    space: Space
    frames: int = 1
    layout: str = ""
    statistics: Statistics | None = None
    notes: Notes = NO_NOTES

    @property
    def stack_axis(self) -> int:
        """Return the axis along which frames are stacked, without the batch: channels of a picture, else the last."""
        return 0 if self.layout and is_channels_first(self.space) else len(self.space.shape) - 1

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Return the shape of one frame with the policy's order of axes."""
        shape = list(self.space.shape or ())
        if self.frames > 1:
            shape[self.stack_axis] //= self.frames
        return tuple(shape)

    @property
    def moves_channels(self) -> bool:
        """Return whether the axes of raw pictures are not in the policy's order."""
        return bool(self.layout) and (self.layout == CHW) != is_channels_first(self.space)

    @property
    def raw_shape(self) -> tuple[int, ...]:
        """Return the shape of raw values without the batch."""
        return self.to_raw(np.empty(self.frame_shape, np.int8)).shape

    @property
    def state(self) -> str:
        """Return the name of the state that holds the frames before this one."""
        return f"{self.name}_frames"

    @property
    def normalises_frames(self) -> bool:
        """Return whether each frame is normalised by itself, before it is stacked."""
        return self.frames > 1 and self.statistics is not None and self.statistics.mean.shape == self.frame_shape

    def to_raw(self, frame: Array) -> Array:
        """Return a frame [..., *frame_shape] with the axes of raw values."""
        if not self.moves_channels:
            return frame
        return np.moveaxis(frame, -3, -1) if self.layout == HWC else np.moveaxis(frame, -1, -3)

    def from_raw(self, raw: Array) -> Array:
        """Return raw values [..., *raw_shape] with the policy's order of axes."""
        if not self.moves_channels:
            return raw
        return np.moveaxis(raw, -1, -3) if self.layout == HWC else np.moveaxis(raw, -3, -1)

    def bounds(self) -> tuple[Array, Array]:
        """Return least and largest raw values, arrays of `raw_shape`."""
        low, high = (np.broadcast_to(bound, self.space.shape or ()) for bound in ranges(self.space))
        if self.frames > 1:
            low, high = (np.split(bound, self.frames, self.stack_axis)[-1] for bound in (low, high))
        return self.to_raw(low), self.to_raw(high)

    def tensor(self) -> TensorSpec:
        """Return the graph's input."""
        return TensorSpec(self.name, dtype_of(self.space), ["batch", *self.raw_shape])

    def spec(self) -> dict[str, Any]:
        """Return the card's entry."""
        low, high = self.bounds()
        known = {"low": listed(low), "high": listed(high), "elements": list(self.notes.elements), "units": self.notes.units}
        return {"name": self.name, "shape": list(self.raw_shape), "layout": self.layout, **known}

    def state_shape(self) -> list[int]:
        """Return the shape of the frames before this one, without the batch."""
        shape = list(self.frame_shape)
        shape[self.stack_axis] *= self.frames - 1
        return shape


def features_of(
    space: Space,
    *,
    frames: int = 1,
    channels_last: bool = True,
    statistics: Mapping[str, Statistics] | None = None,
    notes: Mapping[str, Notes] | None = None,
) -> list[Feature]:
    """Return the observations of a policy's space; `ValueError` where frames or statistics do not fit it."""
    found, parts = dict(statistics or {}), observation_spaces(space)
    features = []
    for name, part in parts.items():
        layout = (HWC if channels_last else CHW) if is_image(part) else ""
        key = name if isinstance(space, spaces.Dict) else ""
        feature = Feature(name, part, frames, layout, found.pop(key, None), (notes or {}).get(name, NO_NOTES))
        _check(feature)
        features.append(feature)
    if found:
        raise ValueError(f"the normalizer has statistics of {sorted(found)}, the policy observes {sorted(parts)}")
    return features


def _check(feature: Feature) -> None:
    if feature.frames > 1:
        size = feature.space.shape[feature.stack_axis] if isinstance(feature.space, spaces.Box) and feature.space.shape else 0
        if size < feature.frames or size % feature.frames:
            raise ValueError(f'observation "{feature.name}" is {feature.space}, which is no stack of {feature.frames} frames')
    if feature.statistics is not None:
        shape = feature.statistics.mean.shape
        if shape not in (feature.space.shape, feature.frame_shape):
            raise ValueError(f'the normalizer has "{feature.name}" of shape {shape}, the policy {feature.space.shape}')


class Preprocess(nn.Module):
    """One feature in the graph: `forward(raw, frames before or None)` gives what the policy takes, and the frames to keep."""

    def __init__(self, feature: Feature) -> None:
        super().__init__()
        self.feature = feature
        statistics = feature.statistics
        if statistics is not None:
            self.register_buffer("mean", torch.from_numpy(statistics.mean))
            self.register_buffer("deviation", torch.from_numpy(np.sqrt(statistics.variance + statistics.epsilon)))
            self.mean: Tensor
            self.deviation: Tensor

    def forward(self, raw: Tensor, before: Tensor | None) -> tuple[Tensor, Tensor | None]:
        feature, value, after = self.feature, raw, None
        if feature.moves_channels:
            value = value.movedim(-1, -3) if feature.layout == HWC else value.movedim(-3, -1)
        if feature.normalises_frames:
            value = self._normalise(value)
        if before is not None:
            axis = feature.stack_axis + 1
            value = torch.cat([before, value.float()], dim=axis)
            after = value.narrow(axis, feature.frame_shape[feature.stack_axis], before.shape[axis])
        if feature.statistics is not None and not feature.normalises_frames:
            value = self._normalise(value)
        return value, after

    def _normalise(self, value: Tensor) -> Tensor:
        """Normalise in float64, as in training: a mean far from 0 would cost float32 its digits."""
        limit = self.feature.statistics.limit if self.feature.statistics else 0.0
        return ((value.double() - self.mean) / self.deviation).clamp(-limit, limit).float()
