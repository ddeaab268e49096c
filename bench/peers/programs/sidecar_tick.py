"""The tick that the sidecar is asked for: the peers' observations, with what a game says beside them."""

from __future__ import annotations

import os

import numpy as np
from load import ROWS, SIZE

from bridge import tensors
from bridge.v1 import model_service_pb2, npc_service_pb2


def tick(session: str) -> npc_service_pb2.ChooseActionsRequest:
    """Return the request of a game session."""
    group = npc_service_pb2.PolicyGroup(
        name="guards",
        model=model_service_pb2.ModelSelector(name=os.environ["POLICY_NAME"]),
        agent_ids=range(ROWS),
        observations=tensors.from_arrays({"observation": np.full((ROWS, SIZE), 0.25, np.float32)}),
    )
    return npc_service_pb2.ChooseActionsRequest(session_id=session, groups=[group])
