"""Trains models that detect fraud, and writes their files, which ``ccstream analyze`` reads.

    import ccstream.training as training

    rows = training.Rows(features, labels, times, names, version)
    text = training.train(rows, as_of=as_of, maturity=7 * training.DAY)

The extra ``ccstream[train]`` installs what it needs: NumPy, scikit-learn and XGBoost. The same rows, settings and
versions of these libraries give the same file, byte for byte, whatever the number of processors.
"""

from ccstream.training.libraries import check

check()

from ccstream.training import quality  # noqa: E402
from ccstream.training.recipe import train  # noqa: E402
from ccstream.training.rows import DAY, Rows  # noqa: E402

__all__ = ["DAY", "Rows", "quality", "train"]
