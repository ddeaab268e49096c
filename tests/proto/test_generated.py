"""The committed code is what the contract generates, and Buf finds nothing to say about the contract."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHON = "Scripts/python.exe" if os.name == "nt" else "bin/python"
ENVIRONMENTS = (ROOT / ".venv/proto", ROOT / ".venv-proto")


def generator_python() -> Path:
    """Return the interpreter of the environment that has the oldest supported generator."""
    named = os.environ.get("METABRIDGE_PROTOC_PYTHON")
    candidates = [Path(named)] if named else [environment / PYTHON for environment in ENVIRONMENTS]
    for python in candidates:
        if python.exists():
            return python
    raise AssertionError(f"{candidates[0]} is not there: make proto makes it, or name another with METABRIDGE_PROTOC_PYTHON")


def buf(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = shutil.which("buf", path=str(Path(sys.executable).parent)) or shutil.which("buf")
    assert command, "buf is not there: pip install buf-bin"
    return subprocess.run([command, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """The contract's Python, generated anew."""
    out = tmp_path_factory.mktemp("generated")
    done = subprocess.run([generator_python(), ROOT / "proto/generate.py", out], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return out / "bridge"


@pytest.fixture(scope="module")
def regenerated(generated):
    """The sidecar's own contract, generated anew."""
    return generated / "v1"


@pytest.mark.parametrize("package", ["v1", "kserve"])
def test_the_committed_code_is_what_the_contract_generates(generated, package):
    committed = {path.name: path.read_text() for path in (ROOT / "bridge" / package).iterdir() if path.is_file()}
    anew = {path.name: path.read_text() for path in (generated / package).iterdir() if path.is_file()}
    assert sorted(committed) == sorted(anew), f"run make proto and commit bridge/{package}"
    different = [name for name in committed if committed[name] != anew[name]]
    assert not different, f"run make proto and commit bridge/{package}"


def test_the_generator_is_the_oldest_that_is_supported(regenerated):
    text = (regenerated / "tensor_pb2.py").read_text()
    assert "Protobuf Python Version: 5.29" in text


def test_buf_lint_is_clean():
    done = buf("lint")
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_buf_builds_the_contract(tmp_path):
    done = buf("build", "-o", str(tmp_path / "contract.binpb"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "contract.binpb").stat().st_size > 1000


def test_buf_lints_comments_and_standard():
    text = (ROOT / "buf.yaml").read_text()
    assert "- STANDARD" in text
    assert "- COMMENTS" in text
    assert "except" not in text
    ignored = text.partition("ignore:")[2].partition("breaking:")[0]
    assert [line.split()[1] for line in ignored.strip().splitlines()] == ["proto/bridge/kserve"], "that contract is another's"
