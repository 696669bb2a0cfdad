"""Arrays in memory, and what NumPy turns into one: lists, memory maps, data frames."""

import reprlib

import numpy as np

from ..errors import DataError, DataTypeError
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
        The dtype or shape is not that of a table of real numbers.
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
        # In pieces: fancy indexing copies in the stored dtype, and that copy must stay small.
        step = piece_rows(self)
        for first in range(0, len(indices), step):
            part = indices[first : first + step]
            convert(self.array[part], out[first : first + step], origin, self.name, part)


def as_array(data):
    """Return `data` as an array, without a copy where possible, or raise `DataError`."""
    if np.ma.is_masked(data):
        raise DataError(
            "X: holds masked values; remove or fill such rows first, e.g. X[~X.mask.any(axis=1)]"
        )
    is_frame = hasattr(data, "columns") and hasattr(data, "dtypes")
    # Only some frames (pandas, Dask) have dtypes that tell what the columns hold.
    is_frame = is_frame and all(hasattr(dtype, "kind") for dtype in data.dtypes)
    if is_frame:
        check_frame(data, look=hasattr(data, "iloc"))
    try:
        array = np.asarray(data)
        if is_frame and array.dtype.hasobject:
            # pandas turns bool beside other columns, and its nullable dtypes, into objects.
            array = np.asarray(data.astype("float64"))
    except MemoryError:
        raise
    except Exception as error:  # an array-like's own __array__ may raise anything
        raise DataError(
            f"X: {type(data).__name__} is not an array of numbers ({error}); give a 2-D array, "
            "samples by features"
        ) from error
    return numbers_of(array) if array.dtype.kind == "O" else array


def numbers_of(array):
    """Convert an array of Python numbers to float64; `DataTypeError` for other objects.

    Text that looks like a number is refused, here as everywhere.
    """
    if not any(issubclass(kind, (str, bytes)) for kind in set(map(type, array.flat))):
        try:
            return array.astype(np.float64)
        except MemoryError:
            raise
        except Exception:  # an object's own __float__ may raise anything
            pass
    for place, value in np.ndenumerate(array):
        if (problem := _not_a_number(value)) is not None:
            names = ("row", "column") if array.ndim == 2 else ("place",) * array.ndim
            where = ", ".join(f"{n} {i}" for n, i in zip(names, place, strict=True))
            raise DataTypeError(
                "X: holds Python objects that are not numbers: "
                + (f"{where} (counting from 0) " if where else "it ")
                + f"is {reprlib.repr(value)} ({problem}); convert to numbers first, "
                "e.g. X.astype(float)"
            )
    raise DataTypeError("X: holds Python objects that do not form an array of numbers")


def _not_a_number(value):
    """Say what is wrong with an object that should be a number; None if it is one."""
    if value is None:  # NumPy turns it into NaN
        return None
    if isinstance(value, (str, bytes)):
        return "text"
    try:
        float(value)
    except Exception as error:  # as above
        return str(error)  # scikit-learn passes on the same words
    return None


def check_frame(frame, *, look=False):
    """Raise a `DataError` that names the columns of a data frame that hold no real numbers.

    With `look`, columns of Python objects and categories pass if their values are numbers; by
    default they are refused.
    """
    wrong = [
        f"{name!r} ({dtype})"
        for j, (name, dtype) in enumerate(zip(frame.columns, frame.dtypes, strict=True))
        if dtype.kind not in "biuf" and not (look and _holds_numbers(frame, j, dtype))
    ]
    if not wrong:
        return
    named = ", ".join(wrong[:_MAX_NAMED])
    if len(wrong) > _MAX_NAMED:
        named += f" and {len(wrong) - _MAX_NAMED} more"
    words = "column %s holds" if len(wrong) == 1 else "columns %s hold"
    raise DataError(
        f"X: {words % named} no real numbers; convert them to numbers, or leave them out with "
        "X.drop(columns=[...])"
    )


def _holds_numbers(frame, j, dtype):
    """Whether a column holds Python objects (not text) or categories that are numbers."""
    categories = getattr(dtype, "categories", None)
    if categories is not None:
        return categories.dtype.kind in "biuf"
    if not (isinstance(dtype, np.dtype) and dtype.hasobject):
        return False
    try:
        numbers_of(np.asarray(frame.iloc[:, j]))
    except DataError:
        return False
    return True


def choose_frame_columns(data, columns):
    """Names of a data frame; of a pandas frame also the chosen columns, so others may be text.

    Returns
    -------
    data, names, columns
        The names if all are strings, else None; the columns that are still to be chosen.
    """
    if not hasattr(data, "columns"):
        return data, None, columns
    labels = list(data.columns)
    if not hasattr(data, "iloc"):  # another kind of frame: choose once it is an array
        return data, labels if all(isinstance(n, str) for n in labels) else None, columns
    if columns is not None:
        chosen = choose(columns, [str(n) for n in labels], len(labels), "X")
        data, labels = data.iloc[:, chosen], [labels[j] for j in chosen]
    kinds = sorted({type(n).__name__ for n in labels})
    if "str" in kinds and len(kinds) > 1:  # as scikit-learn does: it could not check their order
        raise DataTypeError(
            "X: Feature names are only supported if all input features have string names, but "
            f"its columns have names of the types {', '.join(kinds)}; convert them: "
            "X.columns = X.columns.astype(str)"
        )
    return data, labels if "str" in kinds else None, None
