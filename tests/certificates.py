"""Creates certificates for tests of TLS with ``openssl``."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def missing_openssl() -> str:
    """Returns ``openssl`` if it is missing, else an empty text."""
    return "" if shutil.which("openssl") else "openssl"


class Authority:
    """Is a certificate authority, which signs certificates.

    Args:
        folder: the folder for the files of the authority and of the certificates that it signs.
        name: the name of the authority's files.
    """

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self.certificate = folder / f"{name}.crt"
        self._key = folder / f"{name}.key"
        _openssl("req", "-x509", *KEY, "-days", "10", "-subj", f"/CN={name}", *_out(self.certificate, self._key))

    def sign(self, name: str, host: str, days: int = 10, usage: str = "serverAuth") -> tuple[Path, Path]:
        """Creates a certificate of a host or a user.

        Args:
            name: the name of the files.
            host: the subject and its alternative name.
            days: the number of days for which it is valid. With 0 it has expired by the next second.
            usage: ``serverAuth`` or ``clientAuth``.

        Returns:
            The files of the certificate and of its key.
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
    """Creates a certificate of a host that no authority has signed; returns its file and that of its key."""
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    names = ("-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}")
    _openssl("req", "-x509", *KEY, "-days", "10", *names, *_out(certificate, key))
    return certificate, key


def _out(certificate: Path, key: Path) -> tuple[str, ...]:
    return "-out", str(certificate), "-keyout", str(key)


def _openssl(*arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
