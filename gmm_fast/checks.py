"""Checks of arguments: what passes is of the type asked for, what does not is a DataError."""

from numbers import Integral

import numpy as np

from .errors import DataError


def spelled(value):
    """A number in messages: NaN is written as most people write it."""
    return "NaN" if np.isnan(value) else str(value)


def integer(name, value, least):
    """`value` as an int.

    Raises
    ------
    DataError
        Not an integer, or less than `least`.
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise DataError(f"{name} must be an integer, not {value!r}")
    if value < least:
        raise DataError(f"{name} must be at least {least}, not {value}")
    return int(value)
