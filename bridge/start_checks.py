"""What is checked of the settings before anything is bound or loaded; a refusal says what to do."""

from __future__ import annotations

import ipaddress
import math
import re
from dataclasses import fields

from bridge.access import ADMIN_TOKEN_VARIABLE, TOKEN_VARIABLE, Access, TokenError, read_token
from bridge.config import Limits, ServeConfig
from bridge.model_card import MAX_COUNT, MAX_INSTANCES, MAX_THREADS, MAX_WAIT_MS, Serving
from bridge.models_folder import VersionPolicy, parse_policy
from bridge.serving_settings import parse_overrides
from bridge.tls import Tls, TlsError, TlsFiles

MAX_PORT, MAX_WORKERS = 65_535, 64


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
    if not re.fullmatch(r"[0-7]{3}", config.unix_mode):
        raise StartError(f"--unix-mode is {config.unix_mode}, expected three octal digits as in 660")
    if bool(config.tls_cert) != bool(config.tls_key) or (config.tls_client_ca and not config.tls_cert):
        raise StartError("--tls-cert and --tls-key go together, and --tls-client-ca needs both; name the missing file")
    check_exposure(config)


def check_exposure(config: ServeConfig) -> None:
    """Raise `StartError` for an address that other machines reach without TLS and a token."""
    if _is_loopback(config.host) or config.insecure:
        return
    missing = [] if config.tls_cert else ["TLS (--tls-cert and --tls-key)"]
    missing += [] if read_access(config).token else [f"token (--token-file or {TOKEN_VARIABLE})"]
    if missing:
        message = (
            f"--host {config.host} can be reached from other machines and there is no {' and no '.join(missing)}; "
            "add what is missing, bind 127.0.0.1, or say --insecure"
        )
        raise StartError(message)


def _check_numbers(config: ServeConfig) -> None:
    web_port = config.port + 1 if config.web_port is None and config.port else config.web_port or 0
    ranges: list[tuple[str, float | None, float, float]] = [
        ("--port", config.port, 0, MAX_PORT),
        ("--web-port", web_port, -1, MAX_PORT),
        ("--workers", config.workers, 1, MAX_WORKERS),
        ("--threads", config.threads, 0, MAX_THREADS),
        ("--max-batch", config.max_batch, 1, MAX_COUNT),
        ("--max-wait-ms", config.max_wait_ms, 0, MAX_WAIT_MS),
        ("--queue-capacity", config.queue_capacity, 1, MAX_COUNT),
        ("--instances", config.instances, 1, MAX_INSTANCES),
        ("--device-id", config.device_id, 0, 255),
        ("--gpu-memory-mib", config.gpu_memory_mib, 0, MAX_COUNT),
        ("--latest", config.latest, 0, math.inf),
        ("--watch-seconds", config.watch_seconds, 0, 3600),
        ("--load-seconds", config.load_seconds, 1, 86_400),
        ("--load-memory-mib", config.load_memory_mib, 64, MAX_COUNT),
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


def open_tls(config: ServeConfig) -> Tls | None:
    """Return the certificates of both ports; `StartError` for files that cannot be used."""
    if config.tls_cert is None or config.tls_key is None:
        return None
    try:
        return Tls(TlsFiles(config.tls_cert, config.tls_key, config.tls_client_ca))
    except TlsError as error:
        raise StartError(f"--tls-cert: {error}") from error


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
