"""Rules of the C library's memory: large blocks that are given back are taken again without asking the system."""

from __future__ import annotations

import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import numpy as np
from export.memory import keep_large_blocks
kept = keep_large_blocks() if sys.argv[1] == "keep" else False
np.ones(2**26, np.uint8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(8):
    np.ones(2**26, np.uint8)
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems have their own rules")
def test_large_blocks_cost_page_faults_only_once() -> None:
    faults = {}
    for mode in ("leave", "keep"):
        done = subprocess.run([sys.executable, "-c", FAULTS, mode], capture_output=True, text=True, check=True, timeout=60)
        kept, count = done.stdout.split()
        faults[mode] = int(count)
    if kept == "False":
        pytest.skip("this C library has no mallopt")
    assert faults["keep"] * 10 < faults["leave"]
