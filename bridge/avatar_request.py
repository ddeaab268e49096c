"""From an `AvatarSpec` to checked arrays: who the avatars are, how they are mixed, and which sliders are moved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bridge import seeds, tensors
from bridge.avatar_card import MAX_PSI, Spec
from bridge.errors import InvalidArgument, ResourceExhausted
from bridge.images import ImageRequest, check_spec
from bridge.model_card import TensorSpec
from bridge.v1 import avatar_service_pb2 as pb
from bridge.v1 import tensor_pb2

Floats = npt.NDArray[np.float32]
Identifiers = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class AvatarBatch:
    """A checked request of N avatars.

    `z`, `z_mix` float32[N, L]; `styles` float32[N, layers, L] where they were given in place of latents, and then `z` holds
    the latents of the mixing seeds; layers from `first_layer` to before `last_layer` come from `z_mix`; `controls`
    float32[K], or None where no slider is moved.
    """

    seeds: Identifiers
    z: Floats
    z_mix: Floats
    styles: Floats | None
    truncation: float
    first_layer: int
    last_layer: int
    controls: Floats | None
    image: ImageRequest
    return_styles: bool
    identity: str
    """Path of the field that says who the avatars are."""

    def __len__(self) -> int:
        return len(self.seeds)

    def mapping_feeds(self, part: slice) -> dict[str, npt.NDArray[Any]]:
        """Return the mapping graph's inputs for some rows."""
        z = self.z[part]
        return {
            "z": z,
            "z_mix": self.z_mix[part],
            "truncation": np.full(len(z), self.truncation, np.float32),
            "mix_start": np.full(len(z), self.first_layer, np.int64),
            "mix_end": np.full(len(z), self.last_layer, np.int64),
        }


def check(spec: pb.AvatarSpec, sizes: Spec, max_avatars: int) -> AvatarBatch:
    """Return the arrays that `spec` asks of a model; `InvalidArgument` or `ResourceExhausted` by the field at fault."""
    identity = _identity(spec)
    count = _count(spec, sizes, identity, max_avatars)
    ids = np.array(spec.seeds if spec.seeds else [0] * count, np.uint64)
    styles = _given(spec.styles, _style_spec(sizes), count, identity) if identity == "spec.styles" else None
    mixed, first, last = _mixing(spec, sizes, count)
    if styles is not None:
        z = mixed if mixed is not None else np.zeros((count, sizes.latent_size), np.float32)
    elif identity == "spec.latents":
        z = _given(spec.latents, _latent_spec(sizes), count, identity)
    else:
        z = seeds.latents(ids, sizes.latent_size)
    return AvatarBatch(
        seeds=ids,
        z=z,
        z_mix=z if mixed is None else mixed,
        styles=styles,
        truncation=_psi(spec, sizes),
        first_layer=first,
        last_layer=last,
        controls=check_controls(spec.controls, sizes, "spec.controls"),
        image=check_spec(spec.image, sizes.image_size, "spec.image"),
        return_styles=spec.return_styles,
        identity=identity,
    )


def check_controls(values: Mapping[str, float], sizes: Spec, field: str) -> Floats | None:
    """Return the sliders' values in the card's order, None where none is moved; `InvalidArgument` lists what there is."""
    if not values:
        return None
    controls = {control.name: control for control in sizes.controls}
    if not controls:
        raise InvalidArgument(f"the model has no controls, but {_some(values)} given; leave them out", field=field)
    unknown = [name for name in values if name not in controls]
    if unknown:
        raise InvalidArgument(f"there is no control {_some(unknown)}, there are {list(controls)}", field=field)
    for name, value in values.items():
        low, high = controls[name].low, controls[name].high
        if not np.float32(low) <= np.float32(value) <= np.float32(high):
            raise InvalidArgument(f'"{name}" is {value:g}, expected {low:g} to {high:g}', field=field)
    if not any(values.values()):
        return None
    return np.array([values.get(name, 0.0) for name in controls], np.float32)


def _some(names: Any) -> str:
    """Quote at most three names."""
    listed = list(names)
    return ", ".join(f'"{name}"' for name in listed[:3]) + (f" and {len(listed) - 3} more" if len(listed) > 3 else "")


def _identity(spec: pb.AvatarSpec) -> str:
    if spec.HasField("latents") and spec.HasField("styles"):
        raise InvalidArgument("is given beside latents, expected one of both", field="spec.styles")
    for name in ("latents", "styles"):
        if spec.HasField(name):
            return f"spec.{name}"
    return "spec.seeds"


def _latent_spec(sizes: Spec) -> TensorSpec:
    return TensorSpec(name="latents", dtype="float32", shape=["batch", sizes.latent_size])


def _style_spec(sizes: Spec) -> TensorSpec:
    return TensorSpec(name="styles", dtype="float32", shape=["batch", sizes.num_layers, sizes.latent_size])


def _count(spec: pb.AvatarSpec, sizes: Spec, identity: str, max_avatars: int) -> int:
    """Return the number of avatars, before any array is made of what is given."""
    count = len(spec.seeds)
    for name, wanted in (("latents", _latent_spec(sizes)), ("styles", _style_spec(sizes))):
        if identity == f"spec.{name}":
            shape = list(getattr(spec, name).shape)
            if len(shape) != len(wanted.shape) or shape[1:] != wanted.shape[1:]:
                expected = ", ".join(str(size) for size in wanted.shape[1:])
                raise InvalidArgument(f"shape is {shape}, expected [N, {expected}]", field=f"{identity}.shape")
            count = shape[0]
    if count < 1:
        message = f"no avatar is asked for, expected seeds, latents [N, {sizes.latent_size}] or styles"
        raise InvalidArgument(f"{message} [N, {sizes.num_layers}, {sizes.latent_size}]", field=identity)
    if count > max_avatars:
        message = f"{count} avatars in one call, expected at most {max_avatars}; ask in several calls"
        raise ResourceExhausted(message, field=identity)
    if len(spec.seeds) not in (0, count):
        message = f"{len(spec.seeds)} seeds with {count} {identity.removeprefix('spec.')}, expected none or as many"
        raise InvalidArgument(message, field="spec.seeds")
    return count


def _psi(spec: pb.AvatarSpec, sizes: Spec) -> float:
    if not spec.HasField("truncation"):
        return sizes.default_truncation
    psi = spec.truncation.psi
    if not 0.0 <= psi <= MAX_PSI:
        raise InvalidArgument(f"psi is {psi}, expected 0 to {MAX_PSI:g}", field="spec.truncation.psi")
    return psi


def _given(tensor: tensor_pb2.Tensor, wanted: TensorSpec, count: int, field: str) -> Floats:
    array = tensors.match(tensor, wanted, count, field)
    finite = np.isfinite(array.reshape(count, -1)).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        raise InvalidArgument(f"row {row} holds NaN or an infinity, expected numbers", field=field)
    return array


def _mixing(spec: pb.AvatarSpec, sizes: Spec, count: int) -> tuple[Floats | None, int, int]:
    """Return the latents of the mixing seeds [N, L], None without any, and the range of layers that they fill."""
    if not spec.HasField("style_mixing"):
        return None, 0, 0
    mixing, field = spec.style_mixing, "spec.style_mixing"
    if len(mixing.seeds) not in (1, count):
        message = f"{len(mixing.seeds)} seeds for {count} avatars, expected 1 or {count}"
        raise InvalidArgument(message, field=f"{field}.seeds")
    last = mixing.last_layer or sizes.num_layers
    if last > sizes.num_layers:
        raise InvalidArgument(f"is {last}, expected 1 to {sizes.num_layers}, or 0", field=f"{field}.last_layer")
    if mixing.first_layer > last:
        raise InvalidArgument(f"is {mixing.first_layer}, expected 0 to {last}", field=f"{field}.first_layer")
    drawn = seeds.latents(mixing.seeds, sizes.latent_size)
    shape = (count, sizes.latent_size)
    return np.ascontiguousarray(np.broadcast_to(drawn, shape)), mixing.first_layer, last
