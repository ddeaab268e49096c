"""What Unity needs to find beside the code: meta files, one GUID an asset, references that lead somewhere."""

from __future__ import annotations

import json
import re
import tomllib

import csharp_build
import metas
from debian import PROTOBUF_VERSION

ROOT = csharp_build.PROJECT.parent
GUID = re.compile(r"^guid: ([0-9a-f]{32})$", re.MULTILINE)


def guids() -> dict[str, list[str]]:
    """Return the assets by GUID."""
    found: dict[str, list[str]] = {}
    for asset in metas.assets():
        for guid in GUID.findall(metas.meta(asset).read_text()):
            found.setdefault(guid, []).append(str(asset))
    return found


def test_every_asset_has_its_meta_file_and_no_meta_file_is_stray() -> None:
    missing = [asset for asset in metas.assets() if not metas.meta(asset).exists()]
    assert not missing, f"{missing} lack meta files; run python unity_sample/headless/metas.py"
    assert not metas.stray()


def test_every_guid_belongs_to_one_asset() -> None:
    found = guids()
    assert len(found) == len(metas.assets())
    assert all(len(assets) == 1 for assets in found.values())


def test_scenes_refer_to_scripts_that_exist() -> None:
    found = guids()
    settings = csharp_build.PROJECT / "ProjectSettings" / "EditorBuildSettings.asset"
    scenes = [*(csharp_build.PROJECT / "Assets").rglob("*.unity"), settings]
    referred = [guid for scene in scenes for guid in re.findall(r"guid: ([0-9a-f]{32})", scene.read_text())]
    assert len(referred) == len(scenes)
    assert set(referred) <= set(found)


def test_the_package_has_the_products_version_and_the_samples_protobuf() -> None:
    package = json.loads((csharp_build.PACKAGE / "package.json").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert package["version"] == project["version"]
    manifest = json.loads((csharp_build.PROJECT / "Packages" / "manifest.json").read_text())
    assert package["dependencies"].items() <= manifest["dependencies"].items()
    assert package["dependencies"]["org.nuget.google.protobuf"] == PROTOBUF_VERSION


def test_unity_reads_the_packages_link_xml_in_the_sample_too() -> None:
    ours = (csharp_build.PACKAGE / "Runtime" / "link.xml").read_text()
    assert (csharp_build.PROJECT / "Assets" / "link.xml").read_text() == ours
    for name in ("Google.Protobuf", "Metabridge.Client"):
        assert f'fullname="{name}" preserve="all"' in ours


def test_the_licence_travels_with_the_package() -> None:
    assert (csharp_build.PACKAGE / "LICENSE.md").read_text() == (ROOT / "LICENSE").read_text()
