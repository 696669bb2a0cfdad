"""Backends run the kernels over the chunks of a data set, in order, and merge the results.

`base` defines what a backend is; `local` runs on the threads of this machine; `workers` on a Dask
cluster, with `tasks` the functions that run there and `connect` to find or start one; `threads`
and `memory` hold their budgets.
"""

from .base import (
    Backend,
    Survey,
    check_means,
    check_weights,
    count_positive,
    default_dtype,
    positive_rows,
    rough_centre,
)
from .connect import cluster, current_client, room_of_workers
from .local import LocalBackend, Reading, backend_over, chunk_rows, n_lanes, warm_up
from .workers import DaskBackend, score_lazily

__all__ = [
    "Backend",
    "DaskBackend",
    "LocalBackend",
    "Reading",
    "Survey",
    "backend_over",
    "check_means",
    "check_weights",
    "chunk_rows",
    "cluster",
    "count_positive",
    "current_client",
    "default_dtype",
    "n_lanes",
    "positive_rows",
    "room_of_workers",
    "rough_centre",
    "score_lazily",
    "warm_up",
]
