"""Runs one fit from data to result: opening the data, start and EM, checkpoints, batches."""

from .opening import is_of_data, open_backend, open_data, scoring_backend
from .run import check_settings, fit

__all__ = [
    "check_settings",
    "fit",
    "is_of_data",
    "open_backend",
    "open_data",
    "scoring_backend",
]
