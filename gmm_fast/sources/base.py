"""The `Source` interface, checks of dtype and shape, and conversion to the target dtype."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from itertools import pairwise
from types import MappingProxyType

import numpy as np

from ..errors import DataError

# Scratch memory of one read or scan step: large enough to hide the cost of a call, small compared
# with any chunk.
_PIECE_BYTES = 4 << 20
# Narrow rows are joined to this width before a broadcast subtraction (4x faster at d = 2).
_WIDE_ROW = 1024

_REFUSED_KINDS = {
    "O": "Python objects; convert to numbers first, e.g. X.astype(float)",
    "S": "text; keep the numeric columns only, or convert with X.astype(float)",
    "U": "text; keep the numeric columns only, or convert with X.astype(float)",
    "T": "text; keep the numeric columns only, or convert with X.astype(float)",
    "M": "dates; convert to numbers first, e.g. seconds since a start",
    "m": "time differences; convert to numbers first, e.g. X / np.timedelta64(1, 's')",
    "V": "records; make a plain 2-D array first, e.g. with "
    "numpy.lib.recfunctions.structured_to_unstructured",
}


class NoRowsError(DataError):
    """The data is an empty table: an error, except for one file of many."""


class NotTextError(DataError):
    """An option for text was given for a file that is not text."""


class Source(ABC):
    """Rows of numbers that can be read by range.

    Attributes
    ----------
    name : str
        The data's name in messages: the path as given, or ``"X"``.
    n_samples, n_features : int
        Both at least 1.
    dtype : numpy.dtype
        As stored: bool, integer or real floating, in either byte order.
    feature_names : list of str or None
        Names of the columns, if the data has any.
    held_bytes : int
        Memory that the source itself holds (the caller's array does not count).
    reading_bytes : int
        The most memory that reading takes, beyond a few MB.
    reading_advice : str
        What to do if that is too much.
    boundaries : boundaries.Listed, Even, Joined or Thinned, or None
        Rows at which reading can begin without decoding what lies before; None if it can begin
        anywhere.
    notes : tuple of str
        What the user should know: what was guessed, left out or converted; without the name.
    remarks : tuple of str
        Further notes, from whoever opened the source.
    transforms : list of (str or None), or None
        The transform of each column, see `transforms`; None if there are none.
    dropped : (m,) int64 array
        Rows of the data that were left out, increasing.
    given : dict
        The options of `open_source` that were given, by name; JSON values.
    """

    name: str
    n_samples: int
    n_features: int
    dtype: np.dtype
    feature_names: list[str] | None = None
    held_bytes: int = 0
    reading_bytes: int = 0
    reading_advice: str = ""
    boundaries: object | None = None
    notes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    transforms: list | None = None
    dropped: np.ndarray = np.zeros(0, np.int64)
    given: Mapping = MappingProxyType({})
    # Whether several threads can read at the same time without waiting for one another.
    concurrent: bool = False
    # Wanted rows this close to each other are read with one call (1: neighbours only).
    _max_gap: int = 1

    @property
    def decoded(self):
        """Whether reading costs processor time, so that the reader needs a core."""
        return self.boundaries is not None

    @abstractmethod
    def read(self, start, stop, out, *, origin=None):
        """Fill `out` with rows ``start:stop``.

        Parameters
        ----------
        start, stop : int
            ``0 <= start < stop <= n_samples``.
        out : ndarray, shape (stop - start, n_features)
            C-contiguous, of a floating dtype; the rows are converted to it.
        origin : ndarray, shape (n_features,), float64, optional
            Subtracted in float64 before the conversion.

        Raises
        ------
        DataError
            If a finite value does not fit ``out.dtype``, or the data can no longer be read.
        FitError
            If reading fails.
        """

    def view(self, start, stop, dtype):
        """Rows ``start:stop`` as C-contiguous `dtype` without copying, or None.

        The view is read-only if the array behind it is.
        """
        return None

    def gather(self, indices, out, *, origin=None):
        """Fill `out`, shape (m, n_features), with the rows at sorted, unique `indices`."""
        max_span = piece_rows(self, out.dtype.itemsize)
        for first, last in _runs(indices, self._max_gap, max_span):
            start, stop = int(indices[first]), int(indices[last - 1]) + 1
            if stop - start == last - first:
                self.read(start, stop, out[first:last], origin=origin)
                continue
            piece = np.empty((stop - start, self.n_features), out.dtype)
            self.read(start, stop, piece, origin=origin)
            out[first:last] = piece[indices[first:last] - start]

    def twin(self):
        """Another reader of the same rows that does not wait for this one, or None.

        Only sources that take processor time to decode have one.
        """
        return None

    def check_unchanged(self, start=0, stop=None):  # noqa: B027 - most sources are not files
        """Raise `ChangedError` if files that hold rows ``start:stop`` have changed."""

    def locate(self, row):
        """Return the name of the file that holds `row`, and the row's number in it."""
        return self.name, row

    def rest(self):  # noqa: B027 - most sources hold nothing open
        """Release descriptors and read-ahead; the next read acquires them again."""

    def close(self):  # noqa: B027 - most sources hold nothing open
        """Release what the source holds open; reading afterwards is an error."""

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.close()


def piece_rows(source, itemsize=0):
    """Rows per piece of bounded size, at least 1; `itemsize` counts if larger than the stored."""
    return max(1, _PIECE_BYTES // (source.n_features * max(source.dtype.itemsize, itemsize)))


def check_dtype(dtype, name):
    if dtype.hasobject:
        raise DataError(f"{name}: holds {_REFUSED_KINDS['O']}")
    if dtype.kind == "c":  # in scikit-learn's words
        raise DataError(
            f"{name}: Complex data not supported, its dtype is {dtype}; give real and imaginary "
            "parts as separate columns"
        )
    if dtype.kind not in "biuf":
        problem = _REFUSED_KINDS.get(dtype.kind, "no real numbers; convert with X.astype(float)")
        raise DataError(f"{name}: dtype {dtype} holds {problem}")


def check_shape(shape, name, one_feature):
    """Return the shape as (n_samples, n_features), or raise `DataError`."""
    if len(shape) == 1 and one_feature:
        shape = (*shape, 1)
    if len(shape) == 1:
        raise DataError(
            f"{name}: has one dimension, samples by features are needed. Reshape your data: "
            "X.reshape(-1, 1) if it is one feature (--one-feature on the command line), "
            "X.reshape(1, -1) if it is one sample"
        )
    if len(shape) != 2:
        advice = "X.reshape(len(X), -1) makes a row of each X[i]" if shape else "give an array"
        raise DataError(
            f"{name}: has {len(shape)} dimensions, two (samples by features) are needed; {advice}"
        )
    whats = (("row", "sample", NoRowsError), ("column", "feature", DataError))
    for length, (word, unit, error) in zip(shape, whats, strict=True):
        if length < 1:  # in scikit-learn's words
            raise error(
                f"{name}: has no {word}s: 0 {unit}(s) (shape={tuple(shape)}) while a minimum of 1 "
                f"is required; give at least one {word}"
            )
    return shape


def column_label(source, column):
    """A column in messages: its number, and its name if it has one."""
    names = source.feature_names
    return f"column {column}" + ("" if names is None else f" ({names[column]!r})")


def check_range(source, start, stop, out):
    if not 0 <= start < stop <= source.n_samples:
        raise IndexError(f"{source.name}: rows {start}:{stop} of {source.n_samples}")
    if out.shape != (stop - start, source.n_features) or not out.flags.c_contiguous:
        raise ValueError(f"out must be C-contiguous with shape {(stop - start, source.n_features)}")


def convert(block, out, origin, name, rows):
    """Copy `block` (minus `origin`) to `out`; `rows` are its row numbers, for messages."""
    try:
        # `over` is a finite value that became infinite; the rest is intended (inf stays inf).
        with np.errstate(over="raise", under="ignore", invalid="ignore"):
            _convert_values(block, out, origin)
    except FloatingPointError as error:
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            _convert_values(block, out, origin)
        i, column = divmod(int(np.argmax(np.isinf(out) & np.isfinite(block))), out.shape[1])
        raise DataError(
            f"{name}: row {rows[i]} (counting from 0), column {column} is {block[i, column]}, "
            f"too large for {out.dtype}; rescale the data, or use a wider dtype"
        ) from error


def _convert_values(block, out, origin):
    if origin is None:
        np.copyto(out, block, casting="unsafe")
    else:
        _subtract(block, origin, out)


def _subtract(block, origin, out):
    """Set ``out = block - origin``, computed in float64 without a temporary of that size."""
    group = max(1, _WIDE_ROW // len(origin))
    joined = len(block) - len(block) % group
    if block.flags.c_contiguous and joined:
        wide = (joined // group, -1)
        _subtract_rows(
            block[:joined].reshape(wide), np.tile(origin, group), out[:joined].reshape(wide)
        )
        block, out = block[joined:], out[joined:]
    _subtract_rows(block, origin, out)


def _subtract_rows(block, origin, out):
    np.subtract(block, origin, out=out, dtype=np.float64, casting="unsafe")


def _runs(indices, max_gap, max_span) -> Iterator[tuple[int, int]]:
    """Split sorted `indices` into runs ``first:last`` to be read with one call each.

    Within a run, neighbours are at most `max_gap` apart, and all lie within `max_span` rows.
    """
    cuts = np.flatnonzero(np.diff(indices) > max_gap) + 1
    for first, last in pairwise([0, *cuts.tolist(), len(indices)]):
        while first < last:
            bound = indices[first] + max_span
            middle = first + int(np.searchsorted(indices[first:last], bound))
            yield first, middle
            first = middle


# Attributes (CF conventions, 8.1 and 2.5.1) that change what stored numbers mean.
_SCALING, _FILLS = ("scale_factor", "add_offset"), ("_FillValue", "missing_value")


def scaling_notes(attrs):
    """A note if attributes say that numbers are packed, or that one of them means missing.

    Parameters
    ----------
    attrs : mapping
        The attributes of an array in HDF5 or Zarr, which is read as it is stored.
    """
    ignored = [name for name in _SCALING if name in attrs]
    for name in _FILLS:
        fill = np.ravel(attrs.get(name, np.nan))
        # a NaN is missing whatever attributes say
        if not (fill.dtype.kind == "f" and np.isnan(fill).all()):
            ignored.append(name)
    if not ignored:
        return ()
    verb = "says" if len(ignored) == 1 else "say"
    return (
        f"values are taken as stored, though {', '.join(ignored)} {verb} what they stand for; "
        "write out the values that xarray.open_dataset reads",
    )
