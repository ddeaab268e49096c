"""TLS on both ports: who has no certificate is kept out, and a renewed one is used without a restart."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import stat

import httpx
import pytest
import tiny_models
import trustme
from conftest import sidecar_in_thread

from bridge.__main__ import main
from bridge.client import Client, ClientError
from bridge.client_channel import ClientTls
from bridge.tls import Tls, TlsError, TlsFiles

TOKEN = "let-me-in-0123456789"
MODELS = "/bridge.v1.ModelService/ListModels"


class Files:
    """An authority, its files, and certificates that it makes."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.authority = trustme.CA()
        self.ca = folder / "ca.pem"
        self.authority.cert_pem.write_to_path(self.ca)
        self.certificate, self.key = self.issue("server")

    def issue(self, name, authority=None):
        """Write a certificate and its key; return their paths."""
        made = (authority or self.authority).issue_cert("localhost", "127.0.0.1")
        paths = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        made.private_key_pem.write_to_path(paths[1])
        paths[0].write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
        return paths


@pytest.fixture
def files(tmp_path):
    """A server's files."""
    return Files(tmp_path / "tls")


@contextlib.contextmanager
def serving(tmp_path, files, **settings):
    tiny_models.write_npc(tmp_path / "models")
    with sidecar_in_thread(tmp_path / "models", tls_cert=files.certificate, tls_key=files.key, **settings) as sidecar:
        yield sidecar


def names(sidecar, tls, token=""):
    with Client(f"127.0.0.1:{sidecar.port}", tls=tls, token=token, timeout=20) as client:
        return [model.name for model in client.models()]


def web_status(sidecar, ca, pair=None):
    context = ssl.create_default_context(cafile=ca)
    if pair:
        context.load_cert_chain(*pair)
    with httpx.Client(verify=context, trust_env=False, timeout=20) as http:
        return http.post(f"https://127.0.0.1:{sidecar.web_port}{MODELS}", json={}).status_code


def serial(port):
    """Return the certificate that a port shows."""
    context = ssl._create_unverified_context()
    with socket.create_connection(("127.0.0.1", port), 20) as plain, context.wrap_socket(plain) as wrapped:
        return wrapped.getpeercert(binary_form=True)


def test_both_ports_speak_tls_and_nothing_else(tmp_path, files):
    with serving(tmp_path, files) as sidecar:
        assert names(sidecar, ClientTls(files.ca)) == ["guard"]
        assert web_status(sidecar, files.ca) == 200
        assert f'"tls": true, "web": "https://127.0.0.1:{sidecar.web_port}"' in sidecar.ready_line()
        with pytest.raises(ClientError, match="UNAVAILABLE"):
            names(sidecar, None)
        with pytest.raises(httpx.HTTPError), httpx.Client(trust_env=False, timeout=20) as http:
            http.post(f"http://127.0.0.1:{sidecar.web_port}{MODELS}", json={})
        stranger = Files(tmp_path / "stranger")
        with pytest.raises(ClientError, match="UNAVAILABLE"):
            names(sidecar, ClientTls(stranger.ca))


def test_mutual_tls_lets_in_whose_certificate_the_authority_made(tmp_path, files):
    stranger = Files(tmp_path / "stranger")
    friend, foe = files.issue("friend"), stranger.issue("foe")
    with serving(tmp_path, files, tls_client_ca=files.ca) as sidecar:
        assert names(sidecar, ClientTls(files.ca, *friend)) == ["guard"]
        assert web_status(sidecar, files.ca, friend) == 200
        for pair in ((), foe):
            with pytest.raises(ClientError, match="UNAVAILABLE"):
                names(sidecar, ClientTls(files.ca, *pair))
            with pytest.raises((httpx.HTTPError, ssl.SSLError)):
                web_status(sidecar, files.ca, pair)


def test_a_renewed_certificate_is_used_without_a_restart_and_a_broken_one_is_not(tmp_path, files):
    with serving(tmp_path, files) as sidecar:
        first = serial(sidecar.port)
        assert serial(sidecar.web_port) == first
        for source, target in zip(files.issue("renewed"), (files.certificate, files.key), strict=True):
            shutil.copy(source, target)
        second = serial(sidecar.port)
        assert second != first
        assert serial(sidecar.web_port) == second
        files.key.write_text("nonsense")
        assert serial(sidecar.port) == serial(sidecar.web_port) == second
        files.key.unlink()
        assert serial(sidecar.port) == serial(sidecar.web_port) == second
        assert names(sidecar, ClientTls(files.ca)) == ["guard"]


def test_clients_of_a_removed_authority_are_kept_out_from_the_next_handshake_on(tmp_path, files):
    friend = files.issue("friend")
    authorities = tmp_path / "clients.pem"
    shutil.copy(files.ca, authorities)
    with serving(tmp_path, files, tls_client_ca=authorities) as sidecar:
        assert names(sidecar, ClientTls(files.ca, *friend)) == ["guard"]
        other = Files(tmp_path / "other")
        shutil.copy(other.ca, authorities)
        with pytest.raises(ClientError, match="UNAVAILABLE"):
            names(sidecar, ClientTls(files.ca, *friend))
        with pytest.raises((httpx.HTTPError, ssl.SSLError)):
            web_status(sidecar, files.ca, friend)
        assert names(sidecar, ClientTls(files.ca, *other.issue("friend"))) == ["guard"]
        assert web_status(sidecar, files.ca, other.issue("second")) == 200


def test_a_session_that_a_removed_authority_let_in_is_not_resumed(tmp_path, files):
    authorities = tmp_path / "authorities.pem"
    authorities.write_bytes(files.ca.read_bytes())
    context = ssl.create_default_context(cafile=files.ca)
    context.load_cert_chain(*files.issue("player"))
    with serving(tmp_path, files, tls_client_ca=authorities) as sidecar:

        def ask(session=None):
            with (
                socket.create_connection(("127.0.0.1", sidecar.web_port), 30) as plain,
                context.wrap_socket(plain, server_hostname="localhost", session=session) as secure,
            ):
                secure.sendall(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
                return secure.recv(8), secure.session

        answer, session = ask()
        assert answer == b"HTTP/1.1"
        assert ask(session)[0] == b"HTTP/1.1"
        trustme.CA().cert_pem.write_to_path(authorities)
        with contextlib.suppress(OSError):
            assert ask(session)[0] == b""


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda f: f.key.unlink(), "server.key cannot be read: No such file"),
        (lambda f: f.certificate.write_text("no"), "are no PEM certificate with its key"),
        (lambda f: shutil.copy(f.issue("other")[1], f.key), "are no PEM certificate with its key"),
        (lambda f: f.ca.write_text("no"), "holds no PEM certificates of authorities"),
    ],
)
def test_files_that_cannot_be_used_end_the_start(tmp_path, files, capsys, spoil, text):
    spoil(files)
    with pytest.raises(TlsError, match=text):
        Tls(TlsFiles(files.certificate, files.key, files.ca))
    options = ["--tls-cert", files.certificate, "--tls-key", files.key, "--tls-client-ca", files.ca]
    assert main(["serve", "--models", str(tmp_path), *map(str, options)]) == 1
    assert text in capsys.readouterr().err


def test_other_machines_need_tls_and_a_token_or_an_insecure_said_aloud(tmp_path, files, capsys, monkeypatch):
    monkeypatch.delenv("METABRIDGE_TOKEN", raising=False)
    open_to_all = ["serve", "--models", str(tmp_path), "--port", "0", "--host", "0.0.0.0"]
    assert main([*open_to_all, "--tls-cert", str(files.certificate), "--tls-key", str(files.key)]) == 1
    assert "there is no token (--token-file or METABRIDGE_TOKEN)" in capsys.readouterr().err
    monkeypatch.setenv("METABRIDGE_TOKEN", TOKEN)
    assert main(open_to_all) == 1
    assert "there is no TLS (--tls-cert and --tls-key);" in capsys.readouterr().err
    assert main([*open_to_all, "--tls-cert", str(files.certificate)]) == 1
    assert "go together" in capsys.readouterr().err
    with serving(tmp_path, files, host="0.0.0.0") as sidecar:
        assert names(sidecar, ClientTls(files.ca), TOKEN) == ["guard"]
        with pytest.raises(ClientError, match="UNAUTHENTICATED"):
            names(sidecar, ClientTls(files.ca))
    monkeypatch.delenv("METABRIDGE_TOKEN")
    with sidecar_in_thread(tmp_path / "models", host="0.0.0.0", insecure=True) as sidecar:
        assert names(sidecar, None) == ["guard"]


def test_the_commands_speak_tls(tmp_path, files, capsys):
    friend = files.issue("friend")
    with serving(tmp_path, files, tls_client_ca=files.ca) as sidecar:
        address = ["--address", f"localhost:{sidecar.port}", "--tls-ca", str(files.ca)]
        pair = ["--tls-cert", str(friend[0]), "--tls-key", str(friend[1])]
        assert main(["models", *address, *pair]) == 0
        assert capsys.readouterr().out.startswith("guard\t1\tnpc\tserving")
        assert main(["call", "ModelService/ListModels", *address, *pair]) == 0
        assert main(["models", *address, "--tls-cert", str(tmp_path / "nothing")]) == 2
        web = ["top", "--once", "--web", f"https://localhost:{sidecar.web_port}", "--tls-ca", str(files.ca)]
        assert main([*web, *pair]) == 0
        assert "1 serving" in capsys.readouterr().out
        assert main(web) == 1


@pytest.mark.parametrize("mode", ["600", "660"])
def test_a_unix_socket_serves_those_whom_its_permissions_let_in(tmp_path, mode):
    tiny_models.write_npc(tmp_path / "models")
    path = tmp_path / "sidecar.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    with sidecar_in_thread(tmp_path / "models", unix_socket=path, unix_mode=mode):
        assert stat.S_IMODE(path.stat().st_mode) == int(mode, 8)
        with Client(f"unix:{path}") as client:
            assert [model.name for model in client.models()] == ["guard"]
        second = pytest.raises(RuntimeError, match="another process serves on")
        with second, sidecar_in_thread(tmp_path / "models", unix_socket=path):
            pass
    assert not path.exists()


def test_a_unix_socket_takes_no_files_place(tmp_path, capsys):
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    assert main(["serve", "--models", str(tmp_path), "--port", "0", "--unix-socket", str(path)]) == 1
    assert "is a file that is no socket" in capsys.readouterr().err
    assert path.read_text() == "mine"
    assert main(["serve", "--models", str(tmp_path), "--unix-mode", "rw"]) == 1
    assert "--unix-mode is rw, expected three octal digits" in capsys.readouterr().err
