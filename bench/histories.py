"""Sums over what the same card, terminal or merchant did before each transaction, for a bench's detectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

MILLISECOND = 1_000
"""Microseconds."""


class Histories:
    """The rows of each key in the order of their times. A row's history is the rows before it that have its key.

    Args:
        key: The number of the card, terminal or merchant of each row.
        time: The time of each row, in microseconds. Rows are in the order of their times.
    """

    def __init__(self, key: Array, time: Array) -> None:
        self._order = np.argsort(key, kind="stable")
        keys = key[self._order]
        self._place = np.arange(len(key))
        self._first = np.searchsorted(keys, keys)
        # In milliseconds, so that the moments of all keys fit 64 bits. No period reaches back to another key.
        since_start = (time[self._order] - time[0]) // MILLISECOND
        self._room = 2 * int(since_start.max()) + 1
        self._moment = self._first * self._room + since_start

    def _in_order_of_rows(self, values: Array) -> Array:
        result = np.empty(len(values), dtype=values.dtype)
        result[self._order] = values
        return result

    def _sums(self, values: Array, first: Array) -> Array:
        """Sums values from a place of the history to the row before."""
        total = np.concatenate([[0.0], np.cumsum(values[self._order], dtype=float)])
        return self._in_order_of_rows(total[self._place] - total[first])

    def all(self, values: Array) -> Array:
        """Sums values over the whole history of each row."""
        return self._sums(values, self._first)

    def since(self, values: Array, period: int) -> Array:
        """Sums values over the part of each history that is at most as old as a period, in microseconds."""
        oldest = self._moment - min(period // MILLISECOND, self._room // 2)
        return self._sums(values, np.searchsorted(self._moment, oldest))

    def last(self, values: Array, count: int) -> Array:
        """Sums values over the last rows of each history."""
        return self._sums(values, np.maximum(self._first, self._place - count))

    def latest(self, is_meant: Array) -> Array:
        """Returns the number of the last row of each history for which a condition is true, otherwise -1."""
        meant = np.where(is_meant[self._order], self._place, -1)
        before = np.concatenate([[-1], np.maximum.accumulate(meant)[:-1]])
        return self._in_order_of_rows(np.where(before >= self._first, self._order[before], -1))

    def most(self, values: Array) -> Array:
        """Returns the greatest of the values of each row and its history. The values are whole and not negative."""
        room = int(values.max()) + 1
        ranked = self._first * room + values[self._order]
        return self._in_order_of_rows(np.maximum.accumulate(ranked) - self._first * room)


def pairs(one: Array, other: Array) -> Array:
    """Returns a number for each pair of numbers."""
    pair: Array = one.astype(np.int64) * (int(other.max()) + 1) + other
    return pair
