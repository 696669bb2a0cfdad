"""Every target of `make bench`, in one table."""

from typing import NamedTuple

from work import Row


class Goal(NamedTuple):
    """What one row is to reach; None where nothing was asked."""

    scikit_learn: float | None = None  # × its seconds per iteration
    onedal: float | None = None  # × its seconds per iteration, dtype by dtype
    share: float | None = None  # of the FMA peak, float64, all threads
    ns: float | None = None  # nanoseconds per sample and component, at most


ROWS = {
    Row(100_000, 2, 64, "full"): Goal(65, 3, None, 1.0),
    Row(100_000, 8, 8, "full"): Goal(70, 3.5, 0.40),
    Row(100_000, 16, 16, "full"): Goal(40, 4, 0.55),
    Row(100_000, 32, 32, "full"): Goal(25, 4, 0.70),
    Row(20_000, 128, 16, "full"): Goal(10, 4, 0.75),
    Row(100_000, 8, 8, "diag"): Goal(25),
    Row(100_000, 40, 256, "diag"): Goal(10),
    Row(100_000, 8, 8, "tied"): Goal(60),
    Row(100_000, 40, 256, "tied"): Goal(60),
    Row(100_000, 8, 8, "spherical"): Goal(25),
    Row(100_000, 40, 256, "spherical"): Goal(25),
}
FLOAT32 = 1.7  # × our own float64, every row
THREADS = 1.8  # two threads × one, the full rows

FITS = {Row(1_000_000, 8, 8): 25.0, Row(1_000_000, 2, 16): 25.0}  # × scikit-learn's default fit
INIT_SHARE = 0.20  # of a default fit, at most
SCORING = {Row(1_000_000, 8, 8): 20.0}  # × scikit-learn, predict and score_samples
SILHOUETTE_ROWS = 10_000
SILHOUETTE_LABELINGS = 9
SILHOUETTE_SECONDS = 0.5
MEMORY_ROW = Row(1_000_000, 32, 32)
MEMORY_MB = 64.0
PROCESS_ROW = Row(100_000, 8, 8)
FIRST_FIT_SECONDS = 12.0
FIT_SECONDS = 1.5
HELP_SECONDS = 0.2
