"""The tick that the sidecar is asked for: the peers' observations, with what a game says beside them."""

from __future__ import annotations

import os

import numpy as np
from tick import ROWS, SPEC

from bridge import tensors
from bridge.v1 import model_service_pb2, npc_service_pb2


def tick(session: str) -> npc_service_pb2.ChooseActionsRequest:
    """Return the request of a game session."""
    arrays = {name: np.full((ROWS, *shape), 0.25, np.float32) for name, shape in SPEC["observations"].items()}
    group = npc_service_pb2.PolicyGroup(
        name="guards",
        model=model_service_pb2.ModelSelector(name=os.environ["POLICY_NAME"]),
        agent_ids=range(ROWS),
        observations=tensors.from_arrays(arrays),
    )
    return npc_service_pb2.ChooseActionsRequest(session_id=session, groups=[group])


def check(answer: npc_service_pb2.ChooseActionsResponse) -> None:
    """Raise if an agent has no action of the policy's."""
    (group,) = answer.groups
    assert list(group.statuses) == [npc_service_pb2.AGENT_STATUS_OK] * ROWS, group.failures
