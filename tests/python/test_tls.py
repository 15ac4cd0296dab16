"""Compares TLS to PostgreSQL with libpq, for every mode, kind of root certificates and kind of server."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

import ccstream
from ccstream._ccstream import ping
from certificates import Authority, missing_openssl, self_signed
from conftest import leave_out
from debian_postgres import DebianPostgres, missing_postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).resolve().parents[2] / "docs" / "security.md"
MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
ROOTS = ("none", "right", "wrong", "by default", "missing", "system")
SERVERS = ("right", "other name", "expired", "self-signed")
DIFFERENCE = "†"
"""The mark of a table cell in which ccstream is deliberately stricter than libpq."""
PLAIN = "no TLS"
ERROR = "error"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Returns the authority that the server and the clients trust."""
    if missing := ", ".join(filter(None, (missing_openssl(), missing_postgres()))):
        leave_out("tls", f"TLS to PostgreSQL needs {missing}")
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def server(authority: Authority) -> Iterator[DebianPostgres]:
    """Runs a server with TLS."""
    started = DebianPostgres(authority.certificate)
    yield started
    started.remove()


@pytest.fixture(scope="module")
def kinds(authority: Authority) -> dict[str, tuple[Path, Path]]:
    """Returns a certificate and its key for each kind of server."""
    return {
        "right": authority.sign("right", "localhost"),
        "other name": authority.sign("other", "elsewhere.example"),
        "expired": authority.sign("expired", "localhost", days=0),
        "self-signed": self_signed(authority.certificate.parent, "self-signed", "localhost"),
    }


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns a home folder without certificates."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".postgresql").mkdir()
    return tmp_path / ".postgresql"


def connects(server: DebianPostgres, url: str, name: str) -> tuple[str, str]:
    """Returns how ccstream and libpq connect: ``tls``, ``plain``, or empty if they do not."""
    ours, theirs = (f"{url}{'&' if '?' in url else '?'}application_name={who}-{name}" for who in ("ours", "theirs"))
    try:
        assert ping(ours) == bool(server.has_seen(f"ours-{name}"))
    except ccstream.ConfigError:
        assert not server.has_seen(f"ours-{name}")
    try:
        psycopg.connect(theirs).close()
    except psycopg.OperationalError:
        assert not server.has_seen(f"theirs-{name}")
    return server.has_seen(f"ours-{name}"), server.has_seen(f"theirs-{name}")


def documented() -> dict[tuple[str, str], tuple[dict[str, str], bool]]:
    """Reads the documented table: for each mode and roots, the connection to each server, and whether libpq differs."""
    text = DOCS.read_text().split("| sslmode |")[1].split("\n\n")[0]
    found = {}
    for line in text.splitlines()[2:]:
        mode, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        for roots, cell in zip(ROOTS, cells, strict=True):
            differs = cell.endswith(DIFFERENCE)
            known = cell.removesuffix(DIFFERENCE).strip()
            accepted = SERVERS if known in {"any", PLAIN} else () if known == ERROR else tuple(known.split(", "))
            assert set(accepted) <= set(SERVERS), cell
            how = "plain" if known == PLAIN else "tls"
            found[mode.strip("`"), roots] = ({kind: how if kind in accepted else "" for kind in SERVERS}, differs)
    return found


@pytest.mark.timeout(300)
def test_every_mode_and_every_server_is_as_libpq_has_it(
    server: DebianPostgres,
    kinds: dict[str, tuple[Path, Path]],
    authority: Authority,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wrong = Authority(home.parent, "wrong")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    named = {
        "right": authority.certificate,
        "wrong": wrong.certificate,
        "missing": home / "none.crt",
        "system": "system",
    }
    table = documented()
    assert set(table) == {(mode, roots) for mode in MODES for roots in ROOTS}
    differing = set()
    for number, (kind, (certificate, key)) in enumerate(kinds.items()):
        server.present(certificate, key)
        for mode in MODES:
            for roots in ROOTS:
                default = home / "root.crt"
                default.unlink(missing_ok=True)
                if roots == "by default":
                    default.write_bytes(authority.certificate.read_bytes())
                more = f"&sslrootcert={named[roots]}" if roots in named else ""
                name = f"{number}-{mode}-{roots.replace(' ', '-')}"
                ours, theirs = connects(server, f"{server.url()}?sslmode={mode}{more}", name)
                expected, differs = table[mode, roots]
                assert ours == expected[kind], (kind, mode, roots)
                assert ours == theirs or differs, (kind, mode, roots, theirs)
                if ours != theirs:
                    differing.add((mode, roots))
                    # ccstream is never less strict than libpq.
                    assert (ours, theirs) in {("", "plain"), ("", "tls"), ("tls", "plain")}, (kind, mode, roots)
    # Each marked cell differs from libpq.
    assert differing == {cell for cell, (_, differs) in table.items() if differs}


def test_without_tls_at_the_server(server: DebianPostgres, authority: Authority, home: Path) -> None:
    server.present(None, None)
    default = home / "root.crt"
    for mode, roots, ours, theirs in [
        ("prefer", False, "plain", "plain"),
        ("require", False, "", ""),
        # An attacker in between could claim that the server has no TLS.
        ("prefer", True, "", "plain"),
        ("verify-full", True, "", ""),
        ("disable", True, "plain", "plain"),
    ]:
        default.unlink(missing_ok=True)
        if roots:
            default.write_bytes(authority.certificate.read_bytes())
        found = connects(server, f"{server.url()}?sslmode={mode}", f"without-{mode}-{roots}")
        assert found == (ours, theirs), (mode, roots)


def test_sslrootcert_system_alone_is_verify_full(
    server: DebianPostgres,
    kinds: dict[str, tuple[Path, Path]],
    authority: Authority,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert home.exists()
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    for kind, expected in [("right", "tls"), ("other name", "")]:
        server.present(*kinds[kind])
        found = connects(server, f"{server.url()}?sslrootcert=system", f"system-alone-{kind.replace(' ', '-')}")
        assert found == (expected, expected), kind


@pytest.mark.parametrize("by", ["url", "default"])
def test_a_client_certificate(
    server: DebianPostgres, kinds: dict[str, tuple[Path, Path]], authority: Authority, home: Path, by: str
) -> None:
    server.present(*kinds["right"])
    certificate, key = authority.sign(f"client-{by}", "certified", usage="clientAuth")
    url = server.url("certified") + "?sslmode=require"
    assert connects(server, url, f"uncertified-{by}") == ("", "")
    if by == "default":
        for name, path in (("postgresql.crt", certificate), ("postgresql.key", key)):
            path.rename(home / name)
        key = home / "postgresql.key"
    else:
        url += f"&sslcert={certificate}&sslkey={key}"
    key.chmod(0o644)
    assert connects(server, url, f"open-key-{by}") == ("", "")
    with pytest.raises(ccstream.ConfigError, match="chmod"):
        ping(url)
    key.chmod(0o600)
    assert connects(server, url, f"certified-{by}") == ("tls", "tls")


@pytest.mark.parametrize("mode", ["require", "verify-full"])
def test_over_a_socket_sslmode_is_ignored(server: DebianPostgres, authority: Authority, home: Path, mode: str) -> None:
    (home / "root.crt").write_bytes(authority.certificate.read_bytes())
    assert connects(server, f"{server.socket_url}&sslmode={mode}", f"socket-{mode}") == ("plain", "plain")


def test_a_wrong_authority_is_named_by_the_command(
    server: DebianPostgres, kinds: dict[str, tuple[Path, Path]], home: Path
) -> None:
    server.present(*kinds["self-signed"])
    wrong = Authority(home.parent, "wrong")
    url = f"{server.url()}?sslmode=verify-full&sslrootcert={wrong.certificate}"
    with pytest.raises(ccstream.PostgresError) as raised:
        ccstream.count_rejected(database_url=url)
    assert re.search(r"certificate verify failed", str(raised.value))
    assert os.environ["HOME"] == str(home.parent)
