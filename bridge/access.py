"""Who may call: bearer tokens, read from a file or the environment and compared in constant time."""

from __future__ import annotations

import hmac
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from bridge.errors import Unauthenticated

TOKEN_VARIABLE, ADMIN_TOKEN_VARIABLE = "METABRIDGE_TOKEN", "METABRIDGE_ADMIN_TOKEN"
ADMIN_SERVICE = "bridge.v1.AdminService"
HEALTH_SERVICE = "grpc.health.v1.Health"
MAX_TOKEN_BYTES = 4096
TOKEN_PATTERN = re.compile(r"[A-Za-z0-9._~+/=-]{16,}")


class TokenError(ValueError):
    """A token that cannot be used; the message names where it came from, never what it is."""


@dataclass(frozen=True)
class Access:
    """The tokens that calls must carry as `authorization: Bearer <token>`; empty ones ask for nothing.

    `token` opens every service but the admin service, which only `admin_token` opens; that one opens everything. Health is
    open to all, so that a probe needs no secret.
    """

    token: str = field(default="", repr=False)
    admin_token: str = field(default="", repr=False)

    def check(self, service: str, authorization: str) -> None:
        """Raise `Unauthenticated` where a call to `service` does not carry the token that it needs."""
        if (not self.token and service != ADMIN_SERVICE) or service == HEALTH_SERVICE:
            return
        accepted = [self.admin_token] if service == ADMIN_SERVICE else [self.token, self.admin_token]
        if not authorization:
            raise Unauthenticated(f'{service} wants a token, send it as "authorization: Bearer <token>"')
        scheme, _, given = authorization.partition(" ")
        data = given.strip().encode("utf-8", "replace")
        matches = [hmac.compare_digest(data, token.encode()) for token in accepted if token]
        if scheme.lower() != "bearer" or not any(matches):
            raise Unauthenticated(f"the token is not the one that {service} wants; check the token file of both sides")


def read_token(file: Path | None, variable: str) -> str:
    """Return the token of a file, else of an environment variable, else nothing; `TokenError` for one that is too weak."""
    if file is not None:
        source = str(file)
        try:
            with file.open("rb") as stream:
                text = stream.read(MAX_TOKEN_BYTES).decode("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise TokenError(f"the token file {source} cannot be read: {error}") from error
    else:
        source, text = f"environment variable {variable}", os.environ.get(variable, "")
        if not text:
            return ""
    if not TOKEN_PATTERN.fullmatch(text):
        raise TokenError(f"the token of {source} has {len(text)} characters, expected 16 or more of A-Z a-z 0-9 . _ ~ + / = -")
    return text
