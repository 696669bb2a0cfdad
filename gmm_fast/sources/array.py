"""Arrays in memory, and whatever becomes one: lists, memory maps, data frames."""

import sys

import numpy as np

from ..errors import DataError
from .base import Source, check_dtype, check_range, check_shape, convert, piece_rows
from .columns import choose

# Columns named in one message; a frame may have thousands of them.
_MAX_NAMED = 5


class ArraySource(Source):
    """An array in memory, of any order, byte order and numeric dtype.

    Parameters
    ----------
    array : ndarray, shape (n_samples, n_features) or (n_samples,)
    name : str
    one_feature : bool
        Take a 1-D array as one column.

    Raises
    ------
    DataError
        For a dtype or a shape that is not a table of real numbers.
    """

    def __init__(self, array, name="X", *, one_feature=False):
        check_dtype(array.dtype, name)
        shape = check_shape(array.shape, name, one_feature)
        self.array = array.reshape(shape)
        self.name = name
        self.n_samples, self.n_features = shape
        self.dtype = array.dtype

    def read(self, start, stop, out, *, origin=None):
        check_range(self, start, stop, out)
        convert(self.array[start:stop], out, origin, self.name, range(start, stop))

    def view(self, start, stop, dtype):
        flags = self.array.flags
        if self.dtype != np.dtype(dtype) or not (flags.c_contiguous and flags.aligned):
            return None
        return self.array[start:stop]

    def gather(self, indices, out, *, origin=None):
        # Piecewise: fancy indexing makes a copy in the stored dtype, which must stay small.
        step = piece_rows(self)
        for first in range(0, len(indices), step):
            part = indices[first : first + step]
            convert(self.array[part], out[first : first + step], origin, self.name, part)


def as_array(data):
    """Return `data` as an array, without a copy where possible, or raise `DataError`."""
    scipy_sparse = sys.modules.get("scipy.sparse")
    if scipy_sparse is not None and scipy_sparse.issparse(data):
        raise DataError("X: sparse matrices are not supported; make it dense with X.toarray()")
    if np.ma.is_masked(data):
        raise DataError(
            "X: holds masked values; remove or fill such rows first, e.g. X[~X.mask.any(axis=1)]"
        )
    is_frame = hasattr(data, "columns") and hasattr(data, "dtypes")
    # Only some kinds of frames (pandas, Dask) have dtypes that tell what the columns hold.
    is_frame = is_frame and all(hasattr(dtype, "kind") for dtype in data.dtypes)
    if is_frame:
        check_frame(data)
    try:
        array = np.asarray(data)
        if is_frame and array.dtype.hasobject:
            # pandas makes objects of bool beside other columns, and of its nullable dtypes.
            array = np.asarray(data.astype("float64"))
        return array
    except MemoryError:
        raise
    except Exception as error:  # an array-like's own __array__ may raise anything
        raise DataError(
            f"X: {type(data).__name__} is not an array of numbers ({error}); give a 2-D array, "
            "samples by features"
        ) from error


def check_frame(frame):
    """Raise `DataError`, naming them, if columns of a data frame hold no real numbers."""
    wrong = [
        f"{name!r} ({dtype})"
        for name, dtype in zip(frame.columns, frame.dtypes, strict=True)
        if dtype.kind not in "biuf"
    ]
    if not wrong:
        return
    named = ", ".join(wrong[:_MAX_NAMED])
    if len(wrong) > _MAX_NAMED:
        named += f" and {len(wrong) - _MAX_NAMED} more"
    words = "column %s holds" if len(wrong) == 1 else "columns %s hold"
    raise DataError(
        f"X: {words % named} no real numbers; convert to numbers, or leave out with "
        "X.drop(columns=[...])"
    )


def choose_frame_columns(data, columns):
    """Take the chosen columns of a pandas DataFrame, before others can be in the way.

    Returns
    -------
    data, names, columns
        The names if all are strings, else None; the columns still to be chosen.
    """
    if not (hasattr(data, "columns") and hasattr(data, "iloc")):
        return data, None, columns
    labels = list(data.columns)
    if columns is not None:
        chosen = choose(columns, [str(n) for n in labels], len(labels), "X")
        data, labels = data.iloc[:, chosen], [labels[j] for j in chosen]
    return data, labels if all(isinstance(n, str) for n in labels) else None, None
