"""Backends map the compiled pass over the chunks of a data set, in order, and merge.

`base` what every backend is; `local` the threads of this machine.
"""

from .base import Backend, Survey, check_weights, default_dtype
from .local import LocalBackend, Reading, chunk_rows, n_lanes, warm_up

__all__ = [
    "Backend",
    "LocalBackend",
    "Reading",
    "Survey",
    "check_weights",
    "chunk_rows",
    "default_dtype",
    "n_lanes",
    "warm_up",
]
