"""Feature names: reads those of the data, and chooses columns by those of a fit."""

import os
import warnings
from contextlib import suppress

import numpy as np

from .. import fitting
from ..errors import DataError
from ..sources import Source
from ..sources.dialect import is_number

# Most features named in one message; a frame may have thousands.
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
        As for `fitting.open_data`, which also takes `options`.
    advice : str
        Ends the message if a name is missing.

    Raises
    ------
    DataError
        The file has names, but not all of these.
    """
    if any(is_number(name, ".") for name in names) and options.get("header") is None:
        # a first line of these names is a header, though it looks like a row
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
    # the names of the fit may all be there, but some of them twice
    if names_differ(names, source):
        raise DataError(f"{missing}{advice}") from None
    return source


def open_fitted(X, fitted, memory, advice=""):
    """The source of data for a fitted model.

    Parameters
    ----------
    X : array-like, table or Source
    fitted : list of str or None
        Feature names of the fit: if the data has names, its columns are chosen and ordered by them.
    memory : int or None
        As for `fitting.open_data`.
    advice : str
        Ends the message if a name is missing.

    Raises
    ------
    DataError
        A name is missing, or several columns have it.
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
    """Warn, as scikit-learn does, if only the data or only the fit has names; not for files.

    Parameters
    ----------
    who : str
        Name of the estimator.
    X, fitted, source
        Arguments of `open_fitted`, and its result.
    """
    found = source.feature_names
    if isinstance(X, str | bytes | os.PathLike | Source) or (fitted is None) == (found is None):
        return
    if fitted is None:
        text = f"X has feature names, but {who} was fitted without feature names"
    else:
        text = f"X does not have valid feature names, but {who} was fitted with feature names"
    warnings.warn(text, stacklevel=6)  # points at the caller of the estimator's method


def names_differ(fitted, source):
    """Whether the columns of `source` differ from those of a fit in names or order.

    False if one of the two has no names.
    """
    found = source.feature_names
    return fitted is not None and found is not None and list(found) != list(fitted)


def _frame_names(X):
    """Column names of a frame or table that is not opened yet, or None."""
    if hasattr(X, "collect"):  # a lazy frame would have to compute its columns first
        return None
    # `columns` of an Arrow table is its data, and a list would turn that into objects
    columns = getattr(X, "column_names", getattr(X, "columns", None))
    if columns is None:
        schema = getattr(X, "schema", None)  # of an Arrow batch
        columns = getattr(schema, "names", None)
    if columns is None:
        return None
    names = list(columns)
    return names if any(isinstance(name, str) for name in names) else None


def _difference(fitted, found):
    """How feature names differ, in scikit-learn's words."""
    text = ""
    for names, others, what in (
        (found, fitted, "Feature names unseen at fit time"),
        (fitted, found, "Feature names seen at fit time, yet now missing"),
    ):
        if only := sorted(map(str, set(names) - set(others))):
            some = only[:_MAX_NAMED] + ["..."] * (len(only) > _MAX_NAMED)
            text += f"{what}:\n" + "".join(f"- {name}\n" for name in some)
    return text
