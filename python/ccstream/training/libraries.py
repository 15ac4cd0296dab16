"""Checks that the libraries for training are installed, and reports their versions."""

from __future__ import annotations

import importlib
import importlib.util

from ccstream.errors import ConfigError

LIBRARIES = {"numpy": "NumPy", "sklearn": "scikit-learn", "xgboost": "XGBoost"}
"""Modules and names of the libraries."""


def check() -> None:
    """Checks that every library is installed.

    Raises:
        ConfigError: one is not installed.
    """
    absent = [name for module, name in LIBRARIES.items() if importlib.util.find_spec(module) is None]
    if absent:
        raise ConfigError(f"training needs {' and '.join(absent)}: pip install 'ccstream[train]'", 2)


def versions() -> dict[str, str]:
    """Returns the version of each library."""
    return {name: importlib.import_module(module).__version__ for module, name in LIBRARIES.items()}
