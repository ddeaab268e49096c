"""`python -m bridge serve | models | call | top | doctor`."""

from __future__ import annotations

import sys
from typing import Annotated

import tyro

from bridge.config import CallConfig, DoctorConfig, ModelsConfig, ServeConfig, TopConfig

Command = (
    Annotated[ServeConfig, tyro.conf.subcommand("serve")]
    | Annotated[ModelsConfig, tyro.conf.subcommand("models")]
    | Annotated[CallConfig, tyro.conf.subcommand("call")]
    | Annotated[TopConfig, tyro.conf.subcommand("top")]
    | Annotated[DoctorConfig, tyro.conf.subcommand("doctor")]
)


def main(arguments: list[str] | None = None) -> int:
    """Run a command; return its exit code: 0, 1 for an error that was explained, 2 for unusable arguments."""
    config: ServeConfig | ModelsConfig | CallConfig | TopConfig | DoctorConfig = tyro.cli(
        Command,
        prog="python -m bridge",
        description="Metabridge's sidecar: serve model bundles to game engines, and ask a running one.",
        args=arguments,
    )
    if isinstance(config, ServeConfig):
        return _serve(config)
    if isinstance(config, TopConfig):
        from bridge.top import top

        return top(config)
    if isinstance(config, DoctorConfig):
        from bridge.doctor import doctor

        return doctor(config)
    from bridge import commands

    return commands.models(config) if isinstance(config, ModelsConfig) else commands.call(config)


def _serve(config: ServeConfig) -> int:
    from bridge import logs
    from bridge.server import run

    logs.set_up(config.log_format, config.log_level)
    return run(config)


if __name__ == "__main__":
    sys.exit(main())
