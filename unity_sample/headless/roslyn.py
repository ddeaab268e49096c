"""A C# compiler's command line: `python roslyn.py -out:F -r:LIB ... FILES`, Roslyn hosted in this process by pythonnet.

It runs as a process of its own, because a process can host one .NET runtime only. Arguments are csc's; the exit code is 1
when there are errors, and diagnostics are printed as csc prints them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from packages import DOTNET, ROSLYN, unpacked

WARNING_IS_SHOWN_FROM = 2
ENVIRONMENT = {"DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1", "DOTNET_CLI_TELEMETRY_OPTOUT": "1"}
"""What the runtime is started with: without the first it wants ICU's libraries."""


def dotnet_root() -> Path:
    """Return the folder of the .NET runtime, its `dotnet` made executable."""
    root = unpacked(DOTNET) / "dnv/net/runtime/.net"
    (root / "dotnet").chmod(0o755)
    return root


def load_roslyn() -> None:
    """Start .NET in this process and load the compiler's assemblies."""
    from clr_loader import get_coreclr
    from pythonnet import set_runtime

    os.environ.update(ENVIRONMENT)
    config = unpacked(DOTNET) / "dnv/net/runtime/runtimeconfig.json"
    set_runtime(get_coreclr(runtime_config=str(config), dotnet_root=str(dotnet_root())))
    import clr

    for name in ("Microsoft.CodeAnalysis.dll", "Microsoft.CodeAnalysis.CSharp.dll"):
        clr.AddReference(str(unpacked(ROSLYN) / "package" / name))


def compile_csharp(arguments: Sequence[str]) -> int:
    """Compile as csc would with these arguments; print diagnostics and return the exit code."""
    load_roslyn()
    from Microsoft.CodeAnalysis.CSharp import CSharpCommandLineParser
    from System import Array, String

    parsed = CSharpCommandLineParser.Default.Parse(Array[String](list(arguments)), str(Path.cwd()), None)
    for error in parsed.Errors:
        print(error.ToString())
    return 1 if list(parsed.Errors) else _emit(parsed)


def _emit(parsed: Any) -> int:
    from Microsoft.CodeAnalysis import MetadataReference, SyntaxTree
    from Microsoft.CodeAnalysis.CSharp import CSharpCompilation, CSharpSyntaxTree
    from System.Collections.Generic import List
    from System.IO import File
    from System.Text import Encoding

    trees, references = List[SyntaxTree](), List[MetadataReference]()
    for source in parsed.SourceFiles:
        text = Path(source.Path).read_text(encoding="utf-8-sig")
        trees.Add(CSharpSyntaxTree.ParseText(text, parsed.ParseOptions, source.Path, Encoding.UTF8))
    for reference in parsed.MetadataReferences:
        references.Add(MetadataReference.CreateFromFile(str(Path(reference.Reference).resolve())))
    name = Path(parsed.OutputFileName).stem
    compilation = CSharpCompilation.Create(name, trees, references, parsed.CompilationOptions)
    target = Path(parsed.OutputDirectory) / parsed.OutputFileName
    stream = File.Create(str(target))
    result = compilation.Emit(stream)
    stream.Close()
    for diagnostic in result.Diagnostics:
        if int(diagnostic.Severity) >= WARNING_IS_SHOWN_FROM:
            print(diagnostic.ToString())
    if not result.Success:
        target.unlink()
    return 0 if result.Success else 1


if __name__ == "__main__":
    sys.exit(compile_csharp(sys.argv[1:]))
