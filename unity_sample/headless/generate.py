"""Generates the package's `Runtime/Generated/` from `proto/`: `python unity_sample/headless/generate.py [OUT]`.

Messages come from protoc 3.21.12, the version of the Google.Protobuf runtime; clients from our own plug-in.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from csharp_build import PACKAGE, PROJECT
from debian import protoc

PROTO = PROJECT.parent / "proto"
GENERATED = PACKAGE / "Runtime" / "Generated"


def generate(out: Path) -> list[Path]:
    """Write the C# of every proto file into `out` and return the files."""
    out.mkdir(parents=True, exist_ok=True)
    sources = sorted(str(path.relative_to(PROTO)) for path in PROTO.glob("bridge/v1/*.proto"))
    with tempfile.TemporaryDirectory() as temporary:
        plugin = Path(temporary) / "protoc-gen-metabridge"
        plugin.write_text(f"#!/bin/sh\nexec {shlex.join([sys.executable, str(PROTO / 'protoc_gen_metabridge_csharp.py')])}\n")
        plugin.chmod(0o755)
        outputs = [f"--plugin={plugin}", f"--csharp_out={out}", f"--metabridge_out={out}"]
        subprocess.run([*protoc(), f"-I{PROTO}", *outputs, *sources], check=True)
    return sorted(out.glob("*.cs"))


if __name__ == "__main__":
    for file in generate(Path(sys.argv[1]) if len(sys.argv) > 1 else GENERATED):
        print(file)
