"""Checks that the libraries for training are installed, and reports their versions."""

from __future__ import annotations

import importlib

from ccstream import extras

LIBRARIES = {"numpy": "NumPy", "sklearn": "scikit-learn", "xgboost": "XGBoost"}
"""Modules and names of the libraries."""


def check() -> None:
    """Checks that every library is installed.

    Raises:
        ConfigError: one is not installed.
    """
    extras.require("training", "train", LIBRARIES)


def versions() -> dict[str, str]:
    """Returns the version of each library."""
    return {name: importlib.import_module(module).__version__ for module, name in LIBRARIES.items()}
