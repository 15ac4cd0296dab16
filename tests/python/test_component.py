"""Tests the page's component: its bundle, and the form in which its data is passed."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
from datetime import datetime, timezone
from itertools import accumulate
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from ccstream.dashboard import charts, component
from ccstream.dashboard.component import columns
from services import ROOT

if TYPE_CHECKING:
    from pathlib import Path

BUNDLE = ROOT / "python" / "ccstream" / "dashboard" / "bundle"
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm, which only a change of the component needs, is not there")
def test_the_bundle_is_built_from_its_source(tmp_path: Path) -> None:
    source, out = tmp_path / "page", tmp_path / "bundle"
    shutil.copytree(ROOT / "page", source, ignore=shutil.ignore_patterns("node_modules"))
    subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=source, check=True)
    subprocess.run(["npm", "run", "build", "--", str(out)], cwd=source, check=True)
    for name in ("component.js", "LICENSES.txt"):
        assert (out / name).read_bytes() == (BUNDLE / name).read_bytes(), f"{name} is old: make page"


def test_every_package_in_the_bundle_has_its_licence() -> None:
    text = (BUNDLE / "LICENSES.txt").read_text(encoding="utf-8")
    packages = re.findall(r"^([a-z0-9-]+) \d+\.\d+\.\d+ \((BSD-3-Clause|ISC|MIT)\)$", text, re.MULTILINE)
    assert {"vega", "vega-lite", "d3-scale"} <= {name for name, _ in packages}
    assert len(packages) == text.count("\n---\n")
    assert text.count("Copyright") >= len(packages)


def test_the_map_shows_all_coastlines() -> None:
    land = json.loads((BUNDLE / charts.LAND).read_text(encoding="utf-8"))
    (across, down), (left, bottom) = land["transform"]["scale"], land["transform"]["translate"]
    places = [
        (x * across + left, y * down + bottom)
        for arc in land["arcs"]
        for x, y in zip(*(accumulate(steps) for steps in zip(*arc, strict=True)), strict=True)
    ]
    projected = [natural_earth(*place) for place in places]
    eastings, northings = zip(*projected, strict=True)
    ends = (min(eastings), max(eastings), min(northings), max(northings))
    assert ends == pytest.approx(charts.BOUNDS, abs=1e-4)
    assert min(latitude for _, latitude in places) == pytest.approx(charts.SOUTH, abs=0.05)


def natural_earth(longitude: float, latitude: float) -> tuple[float, float]:
    """Projects a place by the polynomial of Šavrič et al., "A polynomial equation for the Natural Earth projection"."""
    east, north = math.radians(longitude), math.radians(latitude)
    two, four = north**2, north**4
    across = 0.8707 - 0.131979 * two + four * (-0.013791 + four * (0.003971 * two - 0.001529 * four))
    return east * across, north * (1.007226 + two * (0.015085 + four * (-0.044475 + 0.028874 * two - 0.005916 * four)))


def test_data_is_passed_as_json() -> None:
    noon = datetime(2026, 1, 1, 12, 0, 0, 250_000, tzinfo=timezone.utc)
    frame = pd.DataFrame(
        {
            "time": pd.to_datetime(pd.Series([noon, None]), utc=True),
            "share": [0.5, float("nan")],
            "count": [1, 2],
            "whole": [True, False],
            "name": ["<b>", "é"],
        }
    )
    assert columns(frame) == {
        "time": [round(noon.timestamp() * 1000), None],
        "share": [0.5, None],
        "count": [1, 2],
        "whole": [True, False],
        "name": ["<b>", "é"],
    }
    assert columns(frame.iloc[:0]) == {name: [] for name in frame.columns}
    assert component.ROWS == "rows"
