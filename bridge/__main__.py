"""`python -m bridge serve | models | call`."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Annotated

import tyro

from bridge.config import CallConfig, ModelsConfig, ServeConfig

Command = (
    Annotated[ServeConfig, tyro.conf.subcommand("serve")]
    | Annotated[ModelsConfig, tyro.conf.subcommand("models")]
    | Annotated[CallConfig, tyro.conf.subcommand("call")]
)


def main(arguments: list[str] | None = None) -> int:
    """Run a command; return its exit code: 0, 1 for an error that was explained, 2 for unusable arguments."""
    config: ServeConfig | ModelsConfig | CallConfig = tyro.cli(
        Command,
        prog="python -m bridge",
        description="Metabridge's sidecar: serve model bundles to game engines, and ask a running one.",
        args=arguments,
    )
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    if isinstance(config, ServeConfig):
        return _serve(config)
    from bridge import commands

    return commands.models(config) if isinstance(config, ModelsConfig) else commands.call(config)


def _serve(config: ServeConfig) -> int:
    from bridge.server import serve
    from bridge.session import SessionError
    from bridge.start_checks import StartError

    try:
        asyncio.run(serve(config))
    except (StartError, SessionError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
