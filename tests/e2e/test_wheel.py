"""The wheel alone, with the packages that it declares and no others, serves a model: torch is not there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
import tiny_models
from packaging.requirements import Requirement

from bridge.client import Client
from bridge.v1 import avatar_service_pb2 as pb

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def declared(requirements: list[str], extras: frozenset[str] = frozenset()) -> dict[str, Distribution]:
    """Return the installed distributions that the requirements name, with all that those require in turn."""
    found: dict[str, Distribution] = {}
    waiting = [(Requirement(line), extras) for line in requirements]
    while waiting:
        requirement, extras = waiting.pop()
        if requirement.marker and not any(requirement.marker.evaluate({"extra": extra}) for extra in extras or {""}):
            continue
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        if name not in found:
            found[name] = distribution(name)
            version = found[name].version
            assert requirement.specifier.contains(version, prereleases=True), f"{name} {version} is not {requirement}"
            waiting += [(Requirement(line), frozenset(requirement.extras)) for line in found[name].requires or ()]
    return found


def link(package: Distribution, site: Path) -> None:
    """Put links to a distribution's files into another environment."""
    for file in package.files or ():
        if ".." not in file.parts and "__pycache__" not in file.parts:
            target = site / file
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                target.symlink_to(Path(package.locate_file(file)))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built."""
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", out]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (built,) = out.glob("metabridge-*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """The interpreter of a new environment with the wheel and what it declares."""
    folder = tmp_path_factory.mktemp("alone")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=120)
    python = folder / "bin/python"
    install = [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", "--no-index", wheel]
    subprocess.run(install, check=True, timeout=120, env=ENVIRONMENT)
    asked = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site = Path(subprocess.run(asked, check=True, capture_output=True, text=True, timeout=60).stdout.strip())
    (metadata,) = site.glob("metabridge-*.dist-info")
    for package in declared(Distribution.at(metadata).requires or []).values():
        link(package, site)
    return python


def run(python, code, cwd):
    return subprocess.run([python, "-c", code], cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)


def test_the_wheel_holds_the_packages_and_nothing_of_the_workshop(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"bridge", "export"}
    assert {"bridge/__main__.py", "bridge/v1/npc_service_pb2.py", "bridge/services/avatar.py"} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if name.endswith(".pyc") or "__pycache__" in name]


@pytest.mark.parametrize("absent", ["torch", "onnxscript", "stable_baselines3", "pytest"])
def test_what_only_the_exporters_and_tests_need_is_not_there(python, tmp_path, absent):
    done = run(python, f"import {absent}", tmp_path)
    assert done.returncode != 0
    assert "ModuleNotFoundError" in done.stderr


def test_the_whole_sidecar_is_imported_from_the_wheel(python, tmp_path):
    code = (
        "import bridge, importlib, pkgutil\n"
        "for module in pkgutil.walk_packages(bridge.__path__, 'bridge.'): importlib.import_module(module.name)\n"
        "print(bridge.__file__)"
    )
    done = run(python, code, tmp_path)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_relative_to(python.parent.parent)


def test_the_wheel_alone_serves_a_model(python, tmp_path):
    models = tmp_path / "models"
    tiny_models.write_avatar(models)
    command = [python, "-m", "bridge", "serve", "--models", models, "--port", "0"]
    with subprocess.Popen(command, cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as process:
        try:
            ready = json.loads(process.stdout.readline())
            with Client(ready["address"]) as client:
                (avatar,) = client.generate_avatars("face", pb.AvatarSpec(seeds=[7])).avatars
                assert avatar.image.data.startswith(b"\x89PNG")
            process.terminate()
            assert process.wait(30) == 0
        finally:
            process.kill()
