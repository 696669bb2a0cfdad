"""Checks of arguments: each returns the value in the right type, or raises DataError."""

from numbers import Integral, Real

import numpy as np

from .errors import DataError


def spell(value):
    """The text of a number for messages: NaN as most people write it."""
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


def real(name, value):
    """`value` as a float.

    Raises
    ------
    DataError
        Not a finite number, or negative.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise DataError(f"{name} must be a number, not {value!r}")
    try:
        number = float(value)  # first, as NumPy takes neither fractions nor very large integers
    except OverflowError:
        number = np.inf
    if not (np.isfinite(number) and number >= 0):
        raise DataError(f"{name} must be 0 or more and finite, not {value}")
    return number


def array(name, value, shape):
    """`value` as a float64 array.

    Raises
    ------
    DataError
        Not numbers, of another shape, or not finite.
    """
    try:
        if getattr(getattr(value, "dtype", None), "kind", None) == "c":
            raise TypeError  # NumPy would only warn, and take the real parts
        found = np.array(value, np.float64)
    except (TypeError, ValueError, OverflowError):  # the last: an integer beyond float64
        raise DataError(f"{name} is not an array of numbers") from None
    if found.shape != shape:
        raise DataError(f"{name} has shape {found.shape}; {shape} is needed")
    if not np.isfinite(found).all():
        raise DataError(f"{name} holds values that are not finite")
    return found


class cached:
    """A property that is computed once and then cached.

    Before Python 3.12 `functools.cached_property` computes under one lock for all objects: threads
    wait for one another, and in a child that is forked meanwhile the lock stays locked.
    """

    def __init__(self, function):
        self.function = function

    def __get__(self, instance, owner=None):
        value = self.function(instance)
        instance.__dict__[self.function.__name__] = value
        return value
