"""Unity's assembly definitions: which sources make which assembly, and what each may refer to."""

from __future__ import annotations

import json
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path


@dataclass(frozen=True)
class AssemblyDefinition:
    """One of Unity's asmdef files: the folder it stands for, without the folders of others below."""

    path: Path
    name: str
    references: tuple[str, ...]
    no_engine: bool

    @property
    def needs_http(self) -> bool:
        """Whether its sources use System.Net.Http."""
        return any("using System.Net.Http;" in source.read_text() for source in self.sources())

    def sources(self) -> list[Path]:
        """Return its C# files."""
        nested = [other.parent for other in self.path.parent.rglob("*.asmdef") if other != self.path]
        files = self.path.parent.rglob("*.cs")
        return sorted(path for path in files if not any(folder in path.parents for folder in nested))


def assembly_definitions(folder: Path) -> list[AssemblyDefinition]:
    """Return the assembly definitions below a folder, each after those of the folder that it references."""
    found = {}
    for path in sorted(folder.rglob("*.asmdef")):
        content = json.loads(path.read_text())
        references = tuple(content["references"])
        found[content["name"]] = AssemblyDefinition(path, content["name"], references, content["noEngineReferences"])
    order = TopologicalSorter({name: [r for r in found[name].references if r in found] for name in found})
    return [found[name] for name in order.static_order()]
