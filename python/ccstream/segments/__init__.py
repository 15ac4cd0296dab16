"""Sorts merchants and cards into segments by how they trade, and keeps these segments from run to run.

``ccstream segment`` runs it. The extra ``ccstream[train]`` installs what it needs: NumPy, scikit-learn and psycopg.
:mod:`~ccstream.segments.features` reads the features from ``orders``, :mod:`~ccstream.segments.groups` finds the
segments, :mod:`~ccstream.segments.moves` decides who changes segment, and :mod:`~ccstream.segments.store` has the
tables. The same rows give the same segments, whatever the number of processors.
"""

from ccstream import extras

extras.require(
    "segmenting",
    "train",
    {"numpy": "NumPy", "sklearn": "scikit-learn", "threadpoolctl": "threadpoolctl", "psycopg": "psycopg"},
)

from ccstream.segments.run import Outcome, Settings, segment  # noqa: E402

__all__ = ["Outcome", "Settings", "segment"]
