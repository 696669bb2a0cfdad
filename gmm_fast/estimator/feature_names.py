"""Names of features: those of the data, and choosing columns by those of a fit."""

import os
import warnings
from contextlib import suppress

import numpy as np

from .. import fitting
from ..errors import DataError
from ..sources import Source
from ..sources.layout import is_number

# Features named in one message; a frame may have thousands of them.
_MAX_NAMED = 5


def as_names(names):
    """Names of columns as `feature_names_in_` holds them, an object array; None stays None."""
    return None if names is None else np.array([str(name) for name in names], dtype=object)


def open_named(data, names, memory, *, advice="", **options):
    """Open a file; if its columns have names, those that are called `names`, in that order.

    Parameters
    ----------
    data : path
    names : list of str
    memory : int or None
        As for `fitting.open_data`, to which `options` go, too.
    advice : str
        Ends the message where a name is missing.

    Raises
    ------
    DataError
        It has names, but not all of these.
    """
    if any(is_number(name, ".") for name in names) and options.get("header") is None:
        # a first line of these names is no row, though it reads like one
        with suppress(DataError):
            source = fitting.open_data(data, memory, **options | {"columns": names, "header": True})
            if source.feature_names == list(names):
                return source
    try:
        source = fitting.open_data(data, memory, columns=names, **options)
        if source.feature_names is not None:  # or names like "0" were taken for numbers
            return source
        missing = None
    except DataError as error:
        missing = error
    try:
        source = fitting.open_data(data, memory, **options)
    except DataError:
        source = None
    if source is None:
        raise missing from None
    # the very names of the fit may be there, but several of one name
    if named_otherwise(names, source):
        raise DataError(f"{missing}{advice}") from None
    return source


def open_fitted(X, fitted, memory, advice=""):
    """The source of data for a fitted model.

    Parameters
    ----------
    X : array-like, table or Source
    fitted : list of str or None
        Names of the features of the fit: where the data has names, its columns are chosen and
        put in order by them.
    memory : int or None
        As for `fitting.open_data`.
    advice : str
        Ends the message where a name is missing.

    Raises
    ------
    DataError
        A name is missing, or is that of several columns.
    """
    if fitted is None:
        return fitting.open_data(X, memory)
    names = X.feature_names if isinstance(X, Source) else _frame_names(X)
    if names is None or list(names) == fitted:
        return fitting.open_data(X, memory)
    if not set(fitted) <= set(names):
        raise DataError(  # in scikit-learn's words
            "The feature names should match those that were passed during fit.\n"
            + _difference(fitted, names)
            + advice
        )
    return fitting.open_data(X, memory, columns=fitted)


def warn_of_names(who, X, fitted, source):
    """Warn, in scikit-learn's words, of names on one side only. A file may have names or not.

    Parameters
    ----------
    who : str
        The estimator.
    X, fitted, source
        As for `open_fitted`, and what that returned.
    """
    found = source.feature_names
    if isinstance(X, str | bytes | os.PathLike | Source) or (fitted is None) == (found is None):
        return
    if fitted is None:
        text = f"X has feature names, but {who} was fitted without feature names"
    else:
        text = f"X does not have valid feature names, but {who} was fitted with feature names"
    warnings.warn(text, stacklevel=6)  # the caller of the estimator's method: see there


def named_otherwise(fitted, source):
    """Whether the columns of `source` have other names, or another order, than those of a fit.

    Where one of the two has no names, nobody knows: False.
    """
    found = source.feature_names
    return fitted is not None and found is not None and list(found) != list(fitted)


def _frame_names(X):
    """Names of the columns of a frame or table that is not opened yet; None without."""
    if hasattr(X, "collect"):  # a lazy frame, whose columns would have to be computed first
        return None
    # the columns of an Arrow table are its data, of which a list would make objects
    columns = getattr(X, "column_names", getattr(X, "columns", None))
    if columns is None:
        schema = getattr(X, "schema", None)  # of an Arrow batch
        columns = getattr(schema, "names", None)
    if columns is None:
        return None
    names = list(columns)
    return names if any(isinstance(name, str) for name in names) else None


def _difference(fitted, found):
    """How names of features differ, in scikit-learn's words."""
    text = ""
    for names, others, what in (
        (found, fitted, "Feature names unseen at fit time"),
        (fitted, found, "Feature names seen at fit time, yet now missing"),
    ):
        if only := sorted(map(str, set(names) - set(others))):
            some = only[:_MAX_NAMED] + ["..."] * (len(only) > _MAX_NAMED)
            text += f"{what}:\n" + "".join(f"- {name}\n" for name in some)
    return text
