"""`python -m export <family> <command>`: train, look at and publish models."""

from __future__ import annotations

import importlib
import sys

from export.memory import keep_large_blocks

FAMILIES = {
    "avatar": "StyleGAN2 faces and figures",
    "npc": "policies for the virtual assistant",
    "scene": "tiles of terrain from a VQ-VAE and a masked prior",
}


def main() -> None:
    """Runs the commands of one family; only that family's code is imported."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] not in FAMILIES:
        asked_for_help = bool(arguments) and arguments[0] in ("-h", "--help")
        families = "\n".join(f"  {name:<8} {text}" for name, text in FAMILIES.items())
        text = f"usage: python -m export <family> <command> [options]\n\nfamilies:\n{families}\n"
        if arguments and not asked_for_help:
            text = f'"{arguments[0]}" is not a family, expected one of {list(FAMILIES)}\n\n{text}'
        (sys.stdout if asked_for_help else sys.stderr).write(text)
        sys.exit(0 if asked_for_help else 2)
    keep_large_blocks()
    commands = importlib.import_module(f"export.{arguments[0]}.commands")
    commands.main(arguments[1:])


if __name__ == "__main__":
    main()
