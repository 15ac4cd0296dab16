"""Chooses the user of the embedded services. Root starts them as ``nobody``, every other user as themselves."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any, BinaryIO

from ccstream.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def is_root() -> bool:
    """Returns whether this process runs as root."""
    return os.geteuid() == 0


def as_user() -> dict[str, Any]:
    """Returns arguments of ``subprocess.Popen`` that drop root's rights, with which PostgreSQL refuses to run."""
    if not is_root():
        return {}
    uid, gid = _nobody()
    return {"user": uid, "group": gid, "extra_groups": []}


def _nobody() -> tuple[int, int]:
    import pwd  # noqa: PLC0415

    found = pwd.getpwnam("nobody")
    return found.pw_uid, found.pw_gid


def give(*paths: Path) -> None:
    """Gives files or folders that root has created to the services' user."""
    if is_root():
        for path in paths:
            os.chown(path, *_nobody())


def barrier(path: Path) -> Path | None:
    """Returns the first folder on the way to a path that the services' user cannot enter; None if there is none."""
    if not is_root():
        return None
    uid, gid = _nobody()
    for folder in reversed(path.parents):
        if folder.exists():
            about = folder.stat()
            may_enter = 0o100 if about.st_uid == uid else 0o010 if about.st_gid == gid else 0o001
            if not about.st_mode & may_enter:
                return folder
    return None


def make_home(home: Path) -> None:
    """Creates the folder for data and logs, which no other user may read.

    Raises:
        ServiceError: the folder cannot be created, or the services' user could not enter it.
    """
    try:
        made = not home.exists()
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ServiceError(
            f"cannot create {home}: {error.strerror}; set another folder with CCSTREAM_HOME", 2
        ) from error
    if made:
        give(home)
    if blocked := barrier(home / "data"):
        if made:
            home.rmdir()
        raise ServiceError(
            f"started by root, the services run as the user nobody, who cannot enter {blocked}: let everybody enter it "
            f"(chmod o+x {blocked}), or set another folder with CCSTREAM_HOME",
            2,
        )


def open_log(log: Path) -> BinaryIO:
    """Opens a log for appending, which only its owner may read."""
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.fchmod(descriptor, 0o600)
    return os.fdopen(descriptor, "ab")


def within_reach(folder: Path, copy: Path, fill: Callable[[Path], object]) -> Path:
    """Returns a package's folder, or a copy of it if the services' user cannot enter that folder.

    Args:
        folder: the package's folder.
        copy: the folder of the copy, which is created if necessary.
        fill: a function that copies what is needed into a new folder.
    """
    if barrier(folder / "file") is None:
        return folder
    if not copy.exists():
        partial = copy.with_name(f"{copy.name}.partial-{os.getpid()}")
        partial.mkdir()
        try:
            fill(partial)
            for path in [partial, *partial.rglob("*")]:
                path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
            partial.rename(copy)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return copy
