"""What `DescribePolicy` says of a policy: the npc section of its card as a message."""

from __future__ import annotations

import math

from bridge import tensors
from bridge.npc_card import ActionSpec, ObservationSpec, Spec
from bridge.registry import ServedModel
from bridge.v1 import npc_service_pb2 as pb

_KINDS = {"continuous": pb.ACTION_KIND_CONTINUOUS, "discrete": pb.ACTION_KIND_DISCRETE}
_LAYOUTS = {"": pb.IMAGE_LAYOUT_UNSPECIFIED, "HWC": pb.IMAGE_LAYOUT_HWC, "CHW": pb.IMAGE_LAYOUT_CHW}


def describe(model: ServedModel) -> pb.DescribePolicyResponse:
    """Return names, order, types, shapes, ranges and units of all that goes in and comes out of a policy."""
    spec: Spec = model.spec
    dtypes = {tensor.name: tensor.dtype for tensor in model.card.graph("policy").inputs}
    return pb.DescribePolicyResponse(
        model=model.served_by(),
        observations=[_observation(observation, dtypes[observation.name]) for observation in spec.observations],
        actions=[_action(action) for action in spec.actions],
        mask_width=spec.mask_size,
        states=[pb.StateSpec(name=state.name, shape=state.shape) for state in spec.states],
        is_stochastic=spec.noise_size > 0,
        has_log_probabilities=spec.log_probability,
        tick_seconds=spec.tick_seconds,
    )


def _observation(spec: ObservationSpec, dtype: str) -> pb.ObservationSpec:
    return pb.ObservationSpec(
        name=spec.name,
        dtype=tensors.data_type(dtype),
        shape=spec.shape,
        low=_numbers(spec.low, -math.inf),
        high=_numbers(spec.high, math.inf),
        elements=spec.elements,
        units=spec.units,
        layout=_LAYOUTS[spec.layout],
    )


def _action(spec: ActionSpec) -> pb.ActionSpec:
    return pb.ActionSpec(
        name=spec.name,
        kind=_KINDS[spec.kind],
        shape=[spec.size],
        low=_numbers(spec.low, -math.inf),
        high=_numbers(spec.high, math.inf),
        branches=spec.branches,
        elements=spec.elements,
        units=spec.units,
        neutral=spec.at_rest.tolist(),
    )


def _numbers(values: list[float | None], none: float) -> list[float]:
    return [none if value is None else value for value in values]
