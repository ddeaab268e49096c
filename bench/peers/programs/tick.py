"""The tick that every client sends: a row of observations for each agent, and what has to come back. Standard library alone."""

from __future__ import annotations

import json
import math
import os
import struct

ROWS = 64
SPEC = json.loads(os.environ["POLICY_SPEC"])
ACTION = SPEC["action"]
WIDTH = sum(math.prod(shape) for shape in SPEC["observations"].values())
"""Numbers that an agent observes: its observations, flat and one after another in the spec's order."""
VALUES = [0.25] * (ROWS * WIDTH)
BODY = struct.pack(f"<{ROWS * WIDTH}f", *VALUES)
ACTIONS = ROWS * math.prod(ACTION["shape"])
ACTION_BYTES = ACTIONS * {"float32": 4, "int64": 8}[ACTION["dtype"]]
