"""Unity's `.meta` files: `python unity_sample/headless/metas.py` writes those that are missing and removes stray ones.

A GUID is derived from the asset's path when its meta file is first written, and stays with the file from then on.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from csharp_build import PACKAGE, PROJECT

ROOTS = (PACKAGE, PROJECT / "Assets")
IMPORTERS = {
    ".cs": "MonoImporter:\n  externalObjects: {}\n  serializedVersion: 2\n  defaultReferences: []\n  executionOrder: 0\n"
    "  icon: {instanceID: 0}\n",
    ".asmdef": "AssemblyDefinitionImporter:\n  externalObjects: {}\n",
    ".unity": "DefaultImporter:\n  externalObjects: {}\n",
    "package.json": "PackageManifestImporter:\n  externalObjects: {}\n",
    "": "TextScriptImporter:\n  externalObjects: {}\n",
}
ENDING = "  userData: \n  assetBundleName: \n  assetBundleVariant: \n"


def assets() -> list[Path]:
    """Return every file and folder that Unity imports, without meta files."""
    found = [path for root in ROOTS for path in root.rglob("*")]
    return sorted(path for path in found if path.suffix != ".meta" and not path.name.startswith("."))


def meta(asset: Path) -> Path:
    """Return the path of an asset's meta file."""
    return asset.with_name(asset.name + ".meta")


def content(asset: Path) -> str:
    """Return a new meta file's text."""
    guid = hashlib.md5(f"metabridge:{asset.relative_to(PROJECT).as_posix()}".encode(), usedforsecurity=False).hexdigest()
    head = f"fileFormatVersion: 2\nguid: {guid}\n"
    if asset.is_dir():
        return f"{head}folderAsset: yes\nDefaultImporter:\n  externalObjects: {{}}\n{ENDING}"
    importer = IMPORTERS.get(asset.name) or IMPORTERS.get(asset.suffix) or IMPORTERS[""]
    return f"{head}{importer}{ENDING}"


def stray() -> list[Path]:
    """Return meta files without an asset."""
    return [path for root in ROOTS for path in sorted(root.rglob("*.meta")) if not path.with_suffix("").exists()]


def main() -> int:
    """Write what is missing and remove what is stray; print what was done."""
    for path in stray():
        path.unlink()
        print(f"removed {path}")
    for asset in assets():
        if not meta(asset).exists():
            meta(asset).write_text(content(asset))
            print(f"wrote {meta(asset)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
