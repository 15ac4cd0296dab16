"""Checks that the libraries of an optional part of the package are installed."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from ccstream.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping


def require(what: str, extra: str, libraries: Mapping[str, str]) -> None:
    """Checks that every library is installed.

    Args:
        what: what needs the libraries, for the message.
        extra: the extra of the package that installs them.
        libraries: the names of the libraries by their modules.

    Raises:
        ConfigError: one is not installed.
    """
    absent = [name for module, name in libraries.items() if importlib.util.find_spec(module) is None]
    if absent:
        raise ConfigError(f"{what} needs {' and '.join(absent)}: pip install 'ccstream[{extra}]'", 2)
