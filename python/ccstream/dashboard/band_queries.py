"""Defines the queries of usual bands. Each reads a bounded number of rows, and finds them by an index."""

from __future__ import annotations

from datetime import timedelta

MOST_WINDOWS = 1_440
"""The number of windows up to which all are read. They move by one minute."""
STEP, LONG_STEP = timedelta(minutes=1), timedelta(minutes=5)
"""The distances of the windows that are read: of all, and of those that do not overlap."""
WINDOW = timedelta(minutes=5)
"""The length of a window."""
MOST_MARKS = 40
"""The number of alerts that a chart marks: the most urgent ones, the newest first."""
MOST_ALERTS = 1_000
"""The number of alerts, counted from the newest of a range, among which these are searched."""
MOST_CELLS = 240
"""The greatest number of points of a band."""
MOST_OF_ALERT = 1_440
"""The number of windows that are shown of an alert."""

COLUMNS = {
    "kpi_band": {
        *("dimension", "series", "kpi", "window_end", "expected", "low", "high", "observed", "deviation"),
        "is_anomalous",
    }
}
"""The table and columns without which there are no bands."""
POSITION = {"analysis": {"event_time"}}
"""The table and column that there are wherever an analyzer was."""
MARK_COLUMNS = {"alerts": {"id", "rule", "key", "severity", "opened_at", "silenced"}}
"""The table and columns without which no alerts are marked."""

_OF = "dimension = %(dimension)s AND series = %(series)s AND kpi = %(kpi)s"
ENDS = f"""SELECT min(window_end), max(window_end) FROM kpi_band
WHERE {_OF} AND window_end > %(start)s AND window_end <= %(end)s"""
# A window is drawn at its middle. What ends an anomaly without a judgement has no band.
CELLS = f"""SELECT to_timestamp(avg(extract(epoch FROM window_end))) AT TIME ZONE 'UTC' - interval '150 s',
    avg(low), avg(high), avg(expected),
    min(window_end) FILTER (WHERE is_anomalous) - interval '150 s',
    max(window_end) FILTER (WHERE is_anomalous) - interval '150 s',
    (array_agg(observed ORDER BY abs(deviation) DESC) FILTER (WHERE is_anomalous))[1]
FROM kpi_band
WHERE {_OF} AND observed IS NOT NULL
    AND window_end = ANY (ARRAY(SELECT generate_series(%(start)s::timestamp, %(end)s::timestamp, %(step)s::interval)))
GROUP BY floor(extract(epoch FROM window_end) / %(width)s) ORDER BY 1"""
MARKS = f"""SELECT id, rule, key, severity, opened_at
FROM (SELECT * FROM alerts WHERE opened_at >= %(start)s AND opened_at < %(end)s AND NOT silenced
    ORDER BY opened_at DESC LIMIT {MOST_ALERTS}) AS newest
ORDER BY array_position(ARRAY['critical', 'warning', 'info'], severity), opened_at DESC, id DESC LIMIT {MOST_MARKS}"""
WINDOWS = f"""SELECT window_end - interval '150 s', low, high, expected, observed, is_anomalous FROM kpi_band
WHERE {_OF} AND window_end >= %(start)s AND window_end <= %(end)s AND observed IS NOT NULL
ORDER BY window_end LIMIT {MOST_OF_ALERT}"""
