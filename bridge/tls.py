"""TLS from files, for both ports: a renewed certificate serves the next handshake, without a restart.

Files are looked at when a client connects. Files that cannot be used leave in service those before, and the log says why.
"""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

log = logging.getLogger("metabridge")
Stamp = tuple[tuple[int, int, int], ...]


class TlsError(ValueError):
    """Certificate files that cannot be used; the message names the file and what was expected."""


@dataclass(frozen=True)
class TlsFiles:
    """PEM files: the server's certificate chain and key; where clients must have certificates, the authorities of those."""

    certificate: Path
    key: Path
    client_ca: Path | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """Return the files that there are."""
        return (self.certificate, self.key, *((self.client_ca,) if self.client_ca else ()))


@dataclass(frozen=True)
class _Loaded:
    stamp: Stamp
    context: ssl.SSLContext
    configuration: Any


class _Following(ssl.SSLContext):
    """A context whose connections are those of the current one: a session that an older one let in is not resumed."""

    current: Callable[[], ssl.SSLContext]

    def wrap_bio(self, *arguments: Any, **settings: Any) -> ssl.SSLObject:
        """Return the object of a new connection."""
        return self.current().wrap_bio(*arguments, **settings)


class Tls:
    """The certificates in use; `TlsError` where the first ones cannot be used. Handshakes ask from several threads."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._lock = threading.Lock()
        self._loaded = self._load()
        self._given = self._loaded

    def server_credentials(self) -> Any:
        """Return gRPC's credentials, which follow the files."""
        return grpc.dynamic_ssl_server_credentials(self._loaded.configuration, self._changed, bool(self._files.client_ca))

    def web_context(self) -> ssl.SSLContext:
        """Return a context for the web port whose handshakes follow the files."""
        context = _Following(ssl.PROTOCOL_TLS_SERVER)
        context.current = lambda: self._current().context
        return context

    def _changed(self) -> Any:
        """Return gRPC's new certificates, or nothing if they are the old ones."""
        current = self._current()
        with self._lock:
            if current is self._given:
                return None
            self._given = current
        return current.configuration

    def _current(self) -> _Loaded:
        with self._lock:
            try:
                if _stamp(self._files) != self._loaded.stamp:
                    self._loaded = self._load()
                    log.info("TLS certificate %s was read again", self._files.certificate)
            except (TlsError, OSError) as error:
                log.error("new TLS files cannot be used, those before stay in use: %s", error)
                self._loaded = _Loaded(_stamp_or_nothing(self._files), self._loaded.context, self._loaded.configuration)
            return self._loaded

    def _load(self) -> _Loaded:
        files = self._files
        try:
            stamp = _stamp(files)
            certificate, key = files.certificate.read_bytes(), files.key.read_bytes()
            roots = files.client_ca.read_bytes() if files.client_ca else None
        except OSError as error:
            raise TlsError(f"{error.filename} cannot be read: {error.strerror}") from error
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(files.certificate, files.key, password="")  # with none it asks for one and waits
        except (ssl.SSLError, OSError) as error:
            raise TlsError(f"{files.certificate} and {files.key} are no PEM certificate with its key: {error}") from error
        if files.client_ca:
            context.verify_mode = ssl.CERT_REQUIRED
            try:
                context.load_verify_locations(files.client_ca)
            except (ssl.SSLError, OSError) as error:
                raise TlsError(f"{files.client_ca} holds no PEM certificates of authorities: {error}") from error
        return _Loaded(stamp, context, grpc.ssl_server_certificate_configuration([(key, certificate)], roots))


def _stamp(files: TlsFiles) -> Stamp:
    return tuple((info.st_ino, info.st_size, info.st_mtime_ns) for info in (path.stat() for path in files.paths))


def _stamp_or_nothing(files: TlsFiles) -> Stamp:
    try:
        return _stamp(files)
    except OSError:
        return ()
