"""What every source is and needs: the `Source` interface, checks of dtype and shape, conversion."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from itertools import pairwise
from types import MappingProxyType

import numpy as np

from ..errors import DataError

# Scratch of one read or one scan step: large enough to hide the cost of a call, small beside
# any chunk.
_PIECE_BYTES = 4 << 20
# Width to which narrow rows are joined before a broadcast subtraction (4x faster at d = 2).
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
    """The data is a table, but an empty one: an error, but not for one file of many."""


class NotTextError(DataError):
    """What is said of text only was said of a file that is none."""


class Source(ABC):
    """Rows of numbers that can be read by range.

    Attributes
    ----------
    name : str
        What messages call the data: the path as given, or ``"X"``.
    n_samples, n_features : int
        Both at least 1.
    dtype : numpy.dtype
        As stored: bool, integer or real floating, in either byte order.
    feature_names : list of str or None
        Of the columns, where the data names them.
    held_bytes : int
        What the source keeps in memory of its own (not: the caller's array).
    reading_bytes : int
        What reading takes beyond a few MB, at most.
    reading_advice : str
        What to do where that is too much.
    boundaries : boundaries.Listed, Even or Joined, or None
        Rows at which reading can begin without decoding what lies before; None if it can begin
        anywhere.
    notes : tuple of str
        What was guessed, left out or converted in reading, for its user to know; without the name.
    remarks : tuple of str
        More of them, by who opened it.
    transforms : list of (str or None), or None
        What each column went through, see `transforms`; None where none did.
    dropped : (m,) int64 array
        Rows of the data that were left out, increasing.
    given : dict
        What was said of how to read it: options of `open_source` by name, JSON values.
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
    # Whether several threads may read at the same time without waiting for one another.
    concurrent: bool = False
    # Wanted rows this near to each other are read with one call (1: neighbours only).
    _max_gap: int = 1

    @property
    def decoded(self):
        """Whether reading costs processor time: the reader of such a source wants a core."""
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
            If the device fails.
        """

    def view(self, start, stop, dtype):
        """Rows ``start:stop`` as C-contiguous `dtype` without copying, or None.

        A view may be read-only, when the array behind it is.
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
        """Another reader of the same rows, which does not wait for this one; None if there is none.

        Only of what costs processor time to decode.
        """
        return None

    def check_unchanged(self, start=0, stop=None):  # noqa: B027 - most sources are no files
        """Raise `ChangedError` unless files that hold rows ``start:stop`` are what they were."""

    def locate(self, row):
        """Return the name of the file that holds `row`, and the number of the row in it."""
        return self.name, row

    def rest(self):  # noqa: B027 - most sources hold nothing open
        """Let go of descriptors and read-ahead; the next read takes them up again."""

    def close(self):  # noqa: B027 - most sources hold nothing open
        """Release what the source holds open; reading afterwards is an error."""

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.close()


def piece_rows(source, itemsize=0):
    """Rows of one bounded piece of `source`, at least 1; `itemsize` counts if above the stored."""
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
    """What messages call a column: its number, and its name if it has one."""
    names = source.feature_names
    return f"column {column}" + ("" if names is None else f" ({names[column]!r})")


def check_range(source, start, stop, out):
    if not 0 <= start < stop <= source.n_samples:
        raise IndexError(f"{source.name}: rows {start}:{stop} of {source.n_samples}")
    if out.shape != (stop - start, source.n_features) or not out.flags.c_contiguous:
        raise ValueError(f"out must be C-contiguous with shape {(stop - start, source.n_features)}")


def convert(block, out, origin, name, rows):
    """Copy `block` (minus `origin`) to `out`; `rows` are its row numbers, for the message."""
    try:
        # `over` is a finite value that turned infinite; the rest is wanted (inf stays inf).
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
    """Set ``out = block - origin``, computed in float64, without a temporary of that size."""
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


# Attributes of climate and forecast data (CF conventions, 8.1 and 2.5.1) that change its meaning.
_SCALING, _FILLS = ("scale_factor", "add_offset"), ("_FillValue", "missing_value")


def scaling_notes(attrs):
    """A note where attributes say that numbers are packed, or that one of them means missing.

    Parameters
    ----------
    attrs : mapping
        Of an array in HDF5 or Zarr; its values are read as they are stored.
    """
    told = [name for name in _SCALING if name in attrs]
    for name in _FILLS:
        fill = np.ravel(attrs.get(name, np.nan))
        # a NaN is missing whatever attributes say
        if not (fill.dtype.kind == "f" and np.isnan(fill).all()):
            told.append(name)
    if not told:
        return ()
    verb = "says" if len(told) == 1 else "say"
    return (
        f"values are taken as they are stored, though {', '.join(told)} {verb} what they stand "
        "for; write them out first, as xarray.open_dataset reads them",
    )
