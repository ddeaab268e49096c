"""The package and the sample compile against Unity 2022.3.33f1's assemblies, as C# 9, without a warning."""

from __future__ import annotations

from pathlib import Path

import csharp_build
import pytest
from asmdef import assembly_definitions
from platforms import unity_2022

ASSEMBLIES = ["Metabridge.Client", "Metabridge.Client.Component", "Metabridge.Client.Http", "Metabridge.Client.Web"]


def test_every_assembly_definition_compiles_with_its_own_references_alone(package_2022: list[Path]) -> None:
    built = {path.stem for path in package_2022}
    assert built >= set(ASSEMBLIES)
    assert sorted(definition.name for definition in assembly_definitions(csharp_build.PACKAGE)) == ASSEMBLIES


def test_the_sample_compiles_against_the_package(package_2022: list[Path]) -> None:
    sources = (csharp_build.PROJECT / "Assets").rglob("*.cs")
    assert csharp_build.build(unity_2022(), "Assembly-CSharp", sources, package_2022, *csharp_build.STRICT).exists()


@pytest.mark.parametrize(
    ("code", "errors"),
    [
        (
            """
            class A { void B(UnityEngine.Texture2D texture) { texture.LoadNothing(); } }
            class C { void D(Metabridge.NpcBrain brain) { brain.Tick = 3; } }
            class E { int unused; }
            """,
            ["CS1061", "CS0200", "CS0169"],
        ),
        ("record struct A(int B);", ["CS8773"]),
    ],
    ids=["unknown member, read-only property, unused field", "C# 10"],
)
def test_what_is_wrong_does_not_compile(package_2022: list[Path], tmp_path: Path, code: str, errors: list[str]) -> None:
    source = tmp_path / "Wrong.cs"
    source.write_text(code)
    with pytest.raises(csharp_build.CompileError) as raised:
        csharp_build.build(unity_2022(), "Wrong", [source], package_2022, *csharp_build.STRICT)
    assert all(error in str(raised.value) for error in errors)
