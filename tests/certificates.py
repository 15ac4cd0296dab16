"""Certificates for tests of TLS, made by ``openssl``."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def missing_openssl() -> str:
    """What certificates need and is not here; empty if nothing."""
    return "" if shutil.which("openssl") else "openssl"


class Authority:
    """An authority, which signs certificates of others'.

    Args:
        folder: where its files are, and those of whom it signs for.
        name: of its files.
    """

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self.certificate = folder / f"{name}.crt"
        self._key = folder / f"{name}.key"
        _openssl("req", "-x509", *KEY, "-days", "10", "-subj", f"/CN={name}", *_out(self.certificate, self._key))

    def sign(self, name: str, host: str, days: int = 10, usage: str = "serverAuth") -> tuple[Path, Path]:
        """A certificate of a host or a user, and its key; with 0 days it has ended by the next second.

        Args:
            name: of the files.
            host: the subject, and its alternative name.
            days: that it is good for.
            usage: ``serverAuth`` or ``clientAuth``.
        """
        certificate, key = self._folder / f"{name}.crt", self._folder / f"{name}.key"
        request, more = self._folder / f"{name}.csr", self._folder / f"{name}.ext"
        _openssl("req", "-new", *KEY, "-subj", f"/CN={host}", *_out(request, key))
        more.write_text(f"subjectAltName=DNS:{host}\nextendedKeyUsage={usage}\n")
        by = ("-CA", str(self.certificate), "-CAkey", str(self._key), "-CAcreateserial")
        _openssl(
            "x509",
            "-req",
            "-in",
            str(request),
            *by,
            "-days",
            str(days),
            "-extfile",
            str(more),
            "-out",
            str(certificate),
        )
        return certificate, key


def self_signed(folder: Path, name: str, host: str) -> tuple[Path, Path]:
    """A certificate of a host that no authority signed, and its key."""
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    names = ("-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}")
    _openssl("req", "-x509", *KEY, "-days", "10", *names, *_out(certificate, key))
    return certificate, key


def _out(certificate: Path, key: Path) -> tuple[str, ...]:
    return "-out", str(certificate), "-keyout", str(key)


def _openssl(*arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
