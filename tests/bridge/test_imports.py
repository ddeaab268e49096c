"""The seams between the packages: the sidecar needs neither torch nor the exporters, and these take little of the sidecar."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FORBIDDEN = {"torch", "export", "onnxscript", "stable_baselines3", "gymnasium"}
ALLOWED = {
    "bridge.model_card",
    "bridge.seeds",
    "bridge.npc_card",
    "bridge.scene_card",
    "bridge.scene_climate",
    "bridge.scene_decoding",
    "bridge.scene_rules",
    "bridge.scene_class_seams",
    "bridge.scene_seams",
    "bridge.scene_tile",
    "bridge.v1",
}
SERVING = {
    "bridge.calls",
    "bridge.config",
    "bridge.errors",
    "bridge.metrics",
    "bridge.ports",
    "bridge.rpc",
    "bridge.start_checks",
    "bridge.tensors",
    "bridge.tls",
    "bridge.web",
}
"""What a trainer that serves engines takes beside that: the sidecar's edges, none of its models."""
BLOCKED = """
import importlib, pkgutil, sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {forbidden!r}:
            raise ImportError(f"{{name}} is not for the sidecar")
sys.meta_path.insert(0, Blocked())
import bridge
names = [module.name for module in pkgutil.walk_packages(bridge.__path__, "bridge.")]
for name in names:
    importlib.import_module(name)
found = sorted({{name.partition(".")[0] for name in sys.modules}} & {forbidden!r})
assert not found, found
print(len(names))
"""


def imports(path: Path) -> Iterator[str]:
    """Yield the full names that a file imports: `a.b` for `import a.b`, `a.b` and `a.b.c` for `from a.b import c`."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def files(package: str) -> list[Path]:
    found = sorted((ROOT / package).rglob("*.py"))
    assert len(found) > 5
    return found


def test_no_file_of_the_sidecar_names_torch_or_the_exporters():
    for path in files("bridge"):
        assert not {name.partition(".")[0] for name in imports(path)} & FORBIDDEN, path


def test_the_whole_sidecar_is_imported_without_torch_and_the_exporters():
    code = BLOCKED.format(forbidden=FORBIDDEN)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 20


def test_the_exporters_take_of_the_sidecar_cards_seeds_and_the_contract_alone():
    for path in files("export"):
        serves = "remote_env" in path.parts
        allowed = ALLOWED | SERVING if serves else ALLOWED
        for name in imports(path):
            if name.partition(".")[0] == "bridge":
                assert any(name == each or name.startswith(f"{each}.") for each in allowed), f"{path} imports {name}"


def test_a_trainer_that_serves_engines_takes_every_edge_that_it_may_and_no_more():
    taken = {name for path in files("export/npc/remote_env") for name in imports(path) if name.startswith("bridge.")}
    modules = {".".join(name.split(".")[:2]) for name in taken} - ALLOWED
    assert modules == SERVING


def test_nothing_of_the_product_imports_its_tests():
    for package in ("bridge", "export"):
        for path in files(package):
            assert not {"tests", "conftest", "tiny_models", "pytest"} & {name.partition(".")[0] for name in imports(path)}, path


@pytest.mark.parametrize("module", ["bridge.session", "bridge.probe_process", "export.parity"])
def test_onnx_runtime_is_told_not_to_report_to_its_maker(module, tmp_path, monkeypatch) -> None:
    for variable in ("CI", "TF_BUILD", "GITHUB_ACTIONS", "ORT_DISABLE_TELEMETRY"):  # ONNX Runtime is silent in a CI job anyway
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    code = f"import {module}, onnxruntime, os; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False, cwd=ROOT)
    assert done.stdout == "1\n", done.stderr
    assert list(tmp_path.iterdir()) == [], "ONNX Runtime keeps the file of a telemetry session"
