"""What is checked of the settings before anything is bound or loaded; a refusal says what to do."""

from __future__ import annotations

import ipaddress
import math
from dataclasses import fields

from bridge.access import ADMIN_TOKEN_VARIABLE, TOKEN_VARIABLE, Access, TokenError, read_token
from bridge.config import Limits, ServeConfig
from bridge.model_card import MAX_COUNT, MAX_INSTANCES, MAX_THREADS, MAX_WAIT_MS, Serving
from bridge.models_folder import VersionPolicy, parse_policy
from bridge.serving_settings import parse_overrides

MAX_PORT = 65_535


class StartError(RuntimeError):
    """The sidecar cannot start as it was told to; the message says what to do."""


def check(config: ServeConfig) -> None:
    if not config.models.is_dir():
        message = f"there is no folder {config.models}; export a model into it first, or name another with --models"
        raise StartError(message)
    _check_numbers(config)
    version_policy(config)
    try:
        parse_overrides(config.model_settings)
    except ValueError as error:
        raise StartError(f"--model-settings: {error}") from error
    if not _is_loopback(config.host):
        message = (
            f"--host {config.host} can be reached from other machines, and the sidecar has neither TLS nor a token yet; "
            "bind 127.0.0.1 and put a proxy with both before it"
        )
        raise StartError(message)


def _check_numbers(config: ServeConfig) -> None:
    web_port = config.port + 1 if config.web_port is None and config.port else config.web_port or 0
    ranges: list[tuple[str, float | None, float, float]] = [
        ("--port", config.port, 0, MAX_PORT),
        ("--web-port", web_port, -1, MAX_PORT),
        ("--threads", config.threads, 0, MAX_THREADS),
        ("--max-batch", config.max_batch, 1, MAX_COUNT),
        ("--max-wait-ms", config.max_wait_ms, 0, MAX_WAIT_MS),
        ("--queue-capacity", config.queue_capacity, 1, MAX_COUNT),
        ("--instances", config.instances, 1, MAX_INSTANCES),
        ("--latest", config.latest, 0, math.inf),
        ("--watch-seconds", config.watch_seconds, 0, 3600),
        ("--drain-seconds", config.drain_seconds, 0, math.inf),
    ]
    ranges += [(f"--limits.{f.name.replace('_', '-')}", getattr(config.limits, f.name), 1, math.inf) for f in fields(Limits)]
    for flag, value, least, most in ranges:
        if value is not None and not least <= value <= most:
            expected = f"at least {least}" if most == math.inf else f"{least} to {most}"
            raise StartError(f"{flag} is {value}, expected {expected}")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def command_settings(config: ServeConfig) -> Serving:
    """Return what the command line says for all models."""
    return Serving(**{name: getattr(config, name) for name in Serving.__struct_fields__})


def version_policy(config: ServeConfig) -> VersionPolicy:
    """Return which versions serve; `StartError` for a pin that is none."""
    try:
        return parse_policy(config.latest, config.pin)
    except ValueError as error:
        raise StartError(f"--pin: {error}") from error


def read_access(config: ServeConfig) -> Access:
    """Return the tokens that calls must carry; `StartError` for a token that cannot be used."""
    try:
        token = read_token(config.token_file, TOKEN_VARIABLE)
        admin_token = read_token(config.admin_token_file, ADMIN_TOKEN_VARIABLE)
    except TokenError as error:
        raise StartError(str(error)) from error
    if token and token == admin_token:
        raise StartError("the token and the admin token are the same, expected two: whoever plays may not unload models")
    return Access(token, admin_token)
