"""Tests the conversion of moments and time zones for the engine."""

from __future__ import annotations

import zoneinfo
from bisect import bisect_right
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from ccstream import ConfigError, times
from zones import Nowhere, Shifted

if TYPE_CHECKING:
    import random

NOON = datetime(2026, 3, 29, 12, tzinfo=timezone.utc)
MICROS = 1_774_785_600_000_000


@pytest.mark.parametrize(
    "moment",
    [
        NOON,
        NOON.replace(tzinfo=None),
        NOON.astimezone(zoneinfo.ZoneInfo("Europe/Berlin")),
        np.datetime64("2026-03-29T12"),
        pd.Timestamp(NOON),
        MICROS,
        np.int64(MICROS),
    ],
)
def test_a_moment(moment: Any) -> None:  # noqa: ANN401
    assert times.micros("start", moment) == MICROS


def test_a_moment_that_is_not_valid_is_refused() -> None:
    assert times.micros("start", datetime(1, 1, 1, tzinfo=timezone.utc)) < times.micros("start", datetime.max)  # noqa: DTZ901
    with pytest.raises(TypeError, match=r"^end: pass a datetime .* not str"):
        times.micros("end", "2026-03-29")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"^end: NaT"):
        times.micros("end", pd.NaT)  # type: ignore[arg-type]


def test_offsets_are_the_zones(chance: random.Random) -> None:
    names = chance.sample(sorted(zoneinfo.available_timezones()), 25)
    for name in ["Europe/Berlin", "America/Recife", "Asia/Gaza", "Pacific/Apia", "Africa/Casablanca", *names]:
        zone = zoneinfo.ZoneInfo(name)
        first, changes = times.offsets(zone)
        moments = [at for at, _ in changes]
        assert moments == sorted(set(moments))
        asked = [chance.randrange(4_102_444_800) for _ in range(500)]
        for at in [*asked, *(at // 10**6 + by for at in moments for by in (-1, 0))]:
            number = bisect_right(moments, at * 10**6)
            found = changes[number - 1][1] if number else first
            expected = datetime.fromtimestamp(at, zone).utcoffset()
            assert timedelta(seconds=found) == expected, (name, at)


def test_zones_that_are_not_of_zoneinfo() -> None:
    zone = Shifted(75, NOON, NOON + timedelta(days=3, seconds=1))
    first, changes = times.offsets(zone)
    assert (first, changes) == (0, [(MICROS, 4500), (MICROS + 259_201_000_000, 0)])
    assert times.offsets(zone)[1] is changes
    assert times.offsets(timezone(timedelta(hours=-3))) == (-10_800, [])
    with pytest.raises(ConfigError, match="no offset"):
        times.offsets(Nowhere())
    with pytest.raises(TypeError, match="not str"):
        times.offsets("Europe/Berlin")  # type: ignore[arg-type]
