"""Generates `bridge/v1/` and `bridge/kserve/` from `proto/`: `python proto/generate.py [OUT]`.

The generator is grpcio-tools 1.71.2 (protobuf 5.29).

Generated code refuses a protobuf runtime older than its generator, so the oldest supported generator writes it.
`make proto` runs this in a virtual environment of its own, since grpcio-tools 1.71.2 wants an older protobuf.
"""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent


def main(out: Path) -> int:
    """Write messages, type stubs and gRPC stubs of every proto file below `out`; return protoc's exit code."""
    sources = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("bridge/*/*.proto"))
    includes = [f"-I{ROOT}", f"-I{files('grpc_tools') / '_proto'}"]
    outputs = [f"--python_out={out}", f"--pyi_out={out}", f"--grpc_python_out={out}"]
    code: int = protoc.main(["protoc", *includes, *outputs, *sources])
    for package in ("v1", "kserve"):
        text = f'"""Generated from `proto/bridge/{package}` by `proto/generate.py`; never edited."""\n'
        (out / "bridge" / package / "__init__.py").write_text(text)
    return code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT.parent))
