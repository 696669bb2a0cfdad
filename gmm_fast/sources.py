"""Open data (an array or a ``.npy`` file) and yield it in chunks.

A *source* knows its name, shape and stored dtype and can fill a buffer with any range of rows.
Everything else here is written against that: `chunks`, `load_resident`, `take` and
`first_bad_row` work for every source. A new data format is one subclass of `Source` with a
``read`` method, and one line in `open_source`.

Files are read with positioned reads into buffers, never through a memory map: pages of a map
count as the process's memory, and a file that shrinks kills the process (SIGBUS) instead of
raising.
"""

import os
import stat
import sys
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import FileIO
from itertools import pairwise

import numpy as np
from numpy.lib import format as npy_format

from .errors import DataError, FitError

# Scratch of one read or one scan step: large enough to hide the cost of a call, small beside
# any chunk.
_PIECE_BYTES = 4 << 20
# Two wanted row ranges closer than this are read as one: reading 64 KiB costs about one call.
_GAP_BYTES = 64 << 10
# Width to which narrow rows are joined before a broadcast subtraction (4x faster at d = 2).
_WIDE_ROW = 1024

# Version 3 differs from 2 only in non-ASCII field names, and records are refused anyway.
_HEADER_READERS = {
    (1, 0): npy_format.read_array_header_1_0,
    (2, 0): npy_format.read_array_header_2_0,
    (3, 0): npy_format.read_array_header_2_0,
}

_REFUSED_KINDS = {
    "O": "Python objects; convert to numbers first, e.g. X.astype(float)",
    "c": "complex numbers; give real and imaginary parts as separate columns",
    "S": "text; keep the numeric columns only, or convert with X.astype(float)",
    "U": "text; keep the numeric columns only, or convert with X.astype(float)",
    "T": "text; keep the numeric columns only, or convert with X.astype(float)",
    "M": "dates; convert to numbers first, e.g. seconds since a start",
    "m": "time differences; convert to numbers first, e.g. X / np.timedelta64(1, 's')",
    "V": "records; make a plain 2-D array first, e.g. with "
    "numpy.lib.recfunctions.structured_to_unstructured",
}


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
    """

    name: str
    n_samples: int
    n_features: int
    dtype: np.dtype
    # Wanted rows this near to each other are read with one call (1: neighbours only).
    _max_gap: int = 1

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
        row_bytes = self.n_features * max(self.dtype.itemsize, out.dtype.itemsize)
        max_span = max(1, _PIECE_BYTES // row_bytes)
        for first, last in _runs(indices, self._max_gap, max_span):
            start, stop = int(indices[first]), int(indices[last - 1]) + 1
            if stop - start == last - first:
                self.read(start, stop, out[first:last], origin=origin)
                continue
            piece = np.empty((stop - start, self.n_features), out.dtype)
            self.read(start, stop, piece, origin=origin)
            out[first:last] = piece[indices[first:last] - start]

    def close(self):  # noqa: B027 - most sources hold nothing open
        """Release what the source holds open; reading afterwards is an error."""

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.close()


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
        _check_dtype(array.dtype, name)
        shape = _check_shape(array.shape, name, one_feature)
        self.array = array.reshape(shape)
        self.name = name
        self.n_samples, self.n_features = shape
        self.dtype = array.dtype

    def read(self, start, stop, out, *, origin=None):
        _check_range(self, start, stop, out)
        _convert(self.array[start:stop], out, origin, self.name, range(start, stop))

    def view(self, start, stop, dtype):
        flags = self.array.flags
        if self.dtype != np.dtype(dtype) or not (flags.c_contiguous and flags.aligned):
            return None
        return self.array[start:stop]

    def gather(self, indices, out, *, origin=None):
        # Piecewise: fancy indexing makes a copy in the stored dtype, which must stay small.
        step = max(1, _PIECE_BYTES // (self.n_features * self.dtype.itemsize))
        for first in range(0, len(indices), step):
            part = indices[first : first + step]
            _convert(self.array[part], out[first : first + step], origin, self.name, part)


class NpySource(Source):
    """A ``.npy`` file, read by range; only the rows asked for are ever in memory.

    Reads are positioned, so several threads may use one source. It can be pickled: the copy
    opens the file again. The descriptor is closed by `close`, by ``with``, or with the object.

    Parameters
    ----------
    path : str, bytes or os.PathLike
    one_feature : bool
        Take a 1-D array as one column.

    Raises
    ------
    DataError
        If there is no such file, or it is not a complete ``.npy`` table of real numbers.
    """

    def __init__(self, path, *, one_feature=False):
        self.name = os.fsdecode(path)
        self.path = os.path.abspath(self.name)
        self.one_feature = one_feature
        self._open()

    def _open(self):
        self._file = _open_regular(self.path, self.name)
        # The finalizer holds the file, so that it is closed (and not merely dropped, which
        # would warn) when the source goes away.
        self._close = weakref.finalize(self, self._file.close)
        self._lock = threading.Lock()
        try:
            shape, fortran, self.dtype = _read_header(self._file, self.name)
            _check_dtype(self.dtype, self.name)
            self.n_samples, self.n_features = _check_shape(shape, self.name, self.one_feature)
            self._offset = self._file.tell()
            self._fortran = fortran and self.n_features > 1
            self._check_size()
        except BaseException:
            self.close()
            raise
        # Columns lie far apart in Fortran order: one read of a range costs n_features calls.
        self._max_gap = (
            self.n_samples
            if self._fortran
            else max(1, _GAP_BYTES // (self.n_features * self.dtype.itemsize))
        )

    def _check_size(self):
        found = os.fstat(self._file.fileno()).st_size - self._offset
        n_items = self.n_samples * self.n_features
        expected = n_items * self.dtype.itemsize
        if found < expected:
            lines, length, word = self.n_samples, self.n_features, "rows"
            if self._fortran:
                lines, length, word = length, lines, "columns"
            held = found // (length * self.dtype.itemsize)
            raise DataError(
                f"{self.name}: the file is cut short: {expected} bytes of data expected, {found} "
                f"found ({held} of {lines} {word}); write or copy it again"
            )
        if found > expected:
            # np.load would read the first array in silence, and leave out the rest.
            raise DataError(
                f"{self.name}: {found - expected} bytes follow the {expected} that the header "
                "announces (several np.save calls into one file?); save one array per file, "
                "e.g. np.save('data.npy', np.concatenate(parts))"
            )

    def __getstate__(self):
        return {"name": self.name, "path": self.path, "one_feature": self.one_feature}

    def __setstate__(self, state):
        self.__dict__.update(state)
        self._open()

    def close(self):
        self._close()

    def read(self, start, stop, out, *, origin=None):
        _check_range(self, start, stop, out)
        if origin is None and not self._fortran and out.dtype == self.dtype:
            self._read_items(start * self.n_features, out)
            return
        step = max(1, _PIECE_BYTES // (self.n_features * self.dtype.itemsize))
        scratch = np.empty(min(step, stop - start) * self.n_features, self.dtype)
        for first in range(start, stop, step):
            last = min(first + step, stop)
            piece = self._read_piece(first, last, scratch)
            part = out[first - start : last - start]
            _convert(piece, part, origin, self.name, range(first, last))

    def _read_piece(self, start, stop, scratch):
        """Read rows ``start:stop``, as stored, into the head of the 1-D `scratch`."""
        piece = scratch[: (stop - start) * self.n_features]
        if not self._fortran:
            self._read_items(start * self.n_features, piece)
            return piece.reshape(stop - start, self.n_features)
        columns = piece.reshape(self.n_features, stop - start)
        for j, column in enumerate(columns):
            self._read_items(j * self.n_samples + start, column)
        return columns.T

    def _read_items(self, first, out):
        """Fill the C-contiguous `out` with the items of the file from number `first` on."""
        raw = out.reshape(-1).view(np.uint8)
        position = self._offset + first * self.dtype.itemsize
        done = 0
        while done < raw.size:
            try:
                count = self._read_at(raw[done:], position + done)
            except OSError as error:
                raise FitError(f"{self.name}: reading failed: {error.strerror}") from error
            if count == 0:
                raise DataError(
                    f"{self.name}: the file became shorter while it was read; do not write to "
                    "it during the work"
                )
            done += count

    def _read_at(self, buffer, position):
        if self._file.closed:
            raise ValueError(f"{self.name}: read from a closed source")
        if hasattr(os, "preadv"):
            return os.preadv(self._file.fileno(), [buffer], position)
        with self._lock:  # Windows: no positioned read
            self._file.seek(position)
            return self._file.readinto(buffer)


def open_source(data, *, one_feature=False):
    """Open `data` for reading by chunks.

    Parameters
    ----------
    data : Source, path or array-like
        A `Source` is returned as it is. A str, bytes or `os.PathLike` names a ``.npy`` file.
        Anything else goes through `numpy.asarray` (no copy for arrays and memory maps).
    one_feature : bool
        Take 1-D data as one column instead of refusing it.

    Returns
    -------
    Source

    Raises
    ------
    DataError
        If the data is not a non-empty table of real numbers; the message names the file (or
        ``X``) and says what to do.
    """
    if isinstance(data, Source):
        return data
    if isinstance(data, (str, bytes, os.PathLike)):
        return NpySource(data, one_feature=one_feature)
    return ArraySource(_as_array(data), one_feature=one_feature)


def chunks(source, rows, dtype, *, origin=None):
    """Yield all rows in order, as C-contiguous arrays of `rows` rows (the last may be shorter).

    Where nothing has to be read, moved or converted, the chunks are views of the data, and
    read-only if the data is. Otherwise a thread fills one buffer while the caller works on the
    other: **a chunk is valid only until the next one is asked for**. Closing the generator (or
    leaving its loop, once it is no longer referenced) ends the thread.

    Parameters
    ----------
    source : Source
    rows : int
        Rows a chunk, at least 1.
    dtype : dtype
        A floating dtype.
    origin : ndarray, shape (n_features,), float64, optional
        Subtracted from every row in float64, before the conversion to `dtype`, so that data
        far from zero keeps its digits in float32.

    Yields
    ------
    ndarray, shape (m, n_features)

    Raises
    ------
    DataError, FitError
        As `Source.read`, whichever thread it happens in.
    """
    if rows < 1:
        raise ValueError(f"rows must be at least 1, not {rows}")
    dtype, origin = _check_target(source, dtype, origin)
    whole = source.view(0, source.n_samples, dtype) if origin is None else None
    if whole is not None:
        return (whole[start : start + rows] for start in range(0, len(whole), rows))
    return _copied_chunks(source, rows, dtype, origin)


def _copied_chunks(source, rows, dtype, origin):
    n = source.n_samples
    shape = (min(rows, n), source.n_features)
    if rows >= n:
        yield _read_new(source, 0, n, dtype, origin)
        return

    buffers = [np.empty(shape, dtype), np.empty(shape, dtype)]

    def fill(start):
        out = buffers[start // rows % 2][: n - start]
        source.read(start, start + len(out), out, origin=origin)
        return out

    # One worker, and one read under way at most: leaving the block waits for that read only.
    with ThreadPoolExecutor(1, thread_name_prefix="gmm-fast-read") as reader:
        pending = reader.submit(fill, 0)
        for following in range(rows, n, rows):
            chunk = pending.result()
            pending = reader.submit(fill, following)
            yield chunk
        yield pending.result()


def load_resident(source, dtype, *, origin=None):
    """Load all rows as one C-contiguous array of `dtype`; no copy where none is needed.

    Parameters
    ----------
    source : Source
    dtype : dtype
    origin : ndarray, shape (n_features,), float64, optional
        Subtracted in float64 before the conversion.

    Returns
    -------
    ArraySource
        Of the same name.
    """
    dtype, origin = _check_target(source, dtype, origin)
    n = source.n_samples
    whole = source.view(0, n, dtype) if origin is None else None
    if whole is None:
        whole = _read_new(source, 0, n, dtype, origin)
    return ArraySource(whole, source.name)


def take(source, indices, dtype, *, origin=None):
    """Read single rows; beside the result, only a bounded buffer is held.

    Parameters
    ----------
    source : Source
    indices : array-like, shape (m,), int
        Row numbers, strictly increasing.
    dtype : dtype
    origin : ndarray, shape (n_features,), float64, optional
        Subtracted in float64 before the conversion.

    Returns
    -------
    ndarray, shape (m, n_features), dtype `dtype`

    Raises
    ------
    IndexError
        If a row number lies outside the data.
    ValueError
        If the row numbers are not strictly increasing integers.
    """
    dtype, origin = _check_target(source, dtype, origin)
    indices = np.asarray(indices)
    if indices.ndim != 1 or (indices.size and indices.dtype.kind not in "iu"):
        raise ValueError("indices must be a 1-D array of integers")
    indices = indices.astype(np.int64, copy=False)
    if np.any(indices[1:] <= indices[:-1]):
        raise ValueError("indices must be sorted and unique")
    if indices.size and (indices[0] < 0 or indices[-1] >= source.n_samples):
        raise IndexError(f"{source.name}: indices outside its {source.n_samples} rows")
    out = np.empty((len(indices), source.n_features), dtype)
    source.gather(indices, out, origin=origin)
    return out


def first_bad_row(source) -> tuple[int, int, float] | None:
    """Find the first row that holds a NaN or an infinity.

    Parameters
    ----------
    source : Source

    Returns
    -------
    (row, column, value) or None
        Counted from 0; None if every value is finite (integers always are, and are not read).
    """
    if source.dtype.kind != "f":
        return None
    rows = max(1, _PIECE_BYTES // (source.n_features * source.dtype.itemsize))
    start = 0
    for chunk in chunks(source, rows, source.dtype.newbyteorder("=")):
        finite = np.isfinite(chunk)
        if not finite.all():
            row, column = divmod(int(np.argmin(finite)), source.n_features)
            return start + row, column, float(chunk[row, column])
        start += len(chunk)
    return None


def bad_value_error(source, bad):
    """Make the `DataError` for a result of `first_bad_row`."""
    row, column, value = bad
    return DataError(
        f"{source.name}: row {row} (counting from 0), column {column} is {value}; "
        "remove or fill such rows first"
    )


def check_columns(source, n_features, what):
    """Raise `DataError` unless `source` has the `n_features` columns that `what` has."""
    if source.n_features != n_features:
        raise DataError(
            f"{source.name} has {_count(source.n_features, 'column')}, but {what} has "
            f"{n_features}; give data with the same columns in the same order"
        )


def _as_array(data):
    scipy_sparse = sys.modules.get("scipy.sparse")
    if scipy_sparse is not None and scipy_sparse.issparse(data):
        raise DataError("X: sparse matrices are not supported; make it dense with X.toarray()")
    if np.ma.is_masked(data):
        raise DataError(
            "X: holds masked values; remove or fill such rows first, e.g. X[~X.mask.any(axis=1)]"
        )
    try:
        return np.asarray(data)
    except MemoryError:
        raise
    except Exception as error:  # an array-like's own __array__ may raise anything
        raise DataError(
            f"X: {type(data).__name__} is not an array of numbers ({error}); give a 2-D array, "
            "samples by features"
        ) from error


def _open_regular(path, name):
    try:
        mode = os.stat(path).st_mode
        # Only a regular file is opened: opening a pipe would wait for a writer.
        file = FileIO(path) if stat.S_ISREG(mode) else None
    except FileNotFoundError as error:
        raise DataError(f"{name}: no such file; check the path") from error
    except PermissionError as error:
        raise DataError(f"{name}: permission denied; make the file readable for you") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the path
        raise DataError(f"{name}: cannot be opened: {error}; check the path") from error
    if stat.S_ISDIR(mode):
        raise DataError(f"{name}: is a directory; give the path of a .npy file")
    if file is None:
        raise DataError(f"{name}: is not a regular file; save the data to a .npy file first")
    return file


def _read_header(file, name):
    """Return shape, Fortran flag and dtype; leave `file` at the first byte of data."""
    advice = "save the data with np.save('data.npy', X)"
    head = file.read(npy_format.MAGIC_LEN)
    if not head:
        raise DataError(f"{name}: the file is empty; {advice}")
    if head[:4] == b"PK\x03\x04":
        raise DataError(f"{name}: is a .npz or zip archive, not a .npy file; {advice}")
    if len(head) < npy_format.MAGIC_LEN or not head.startswith(npy_format.MAGIC_PREFIX):
        raise DataError(f"{name}: is not a .npy file; {advice}")
    version = tuple(head[-2:])
    if version not in _HEADER_READERS:
        raise DataError(
            f"{name}: .npy format version {version[0]}.{version[1]} is not supported; {advice}"
        )
    try:
        return _HEADER_READERS[version](file)
    except Exception as error:  # numpy lets parser errors of many kinds through
        raise DataError(f"{name}: the .npy header is damaged ({error}); {advice}") from error


def _check_dtype(dtype, name):
    if dtype.hasobject:
        raise DataError(f"{name}: holds {_REFUSED_KINDS['O']}")
    if dtype.kind not in "biuf":
        problem = _REFUSED_KINDS.get(dtype.kind, "no real numbers; convert with X.astype(float)")
        raise DataError(f"{name}: dtype {dtype} holds {problem}")


def _check_shape(shape, name, one_feature):
    """Return the shape as (n_samples, n_features), or raise `DataError`."""
    if len(shape) == 1 and one_feature:
        shape = (*shape, 1)
    if len(shape) == 1:
        raise DataError(
            f"{name}: has one dimension, samples by features are needed; if it is one feature, "
            "say so: X.reshape(-1, 1) in Python, --one-feature on the command line"
        )
    if len(shape) != 2:
        advice = "X.reshape(len(X), -1) makes a row of each X[i]" if shape else "give an array"
        raise DataError(
            f"{name}: has {len(shape)} dimensions, two (samples by features) are needed; {advice}"
        )
    for length, word in zip(shape, ("row", "column"), strict=True):
        if length < 1:
            raise DataError(
                f"{name}: shape {tuple(shape)} has no {word}s; at least one {word} is needed"
            )
    return shape


def _check_target(source, dtype, origin):
    dtype = np.dtype(dtype)
    if dtype.kind != "f" or not dtype.isnative:
        raise ValueError(f"dtype must be a native floating dtype, not {dtype}")
    if origin is not None:
        origin = np.ascontiguousarray(origin, np.float64)
        if origin.shape != (source.n_features,):
            raise ValueError(f"origin must have shape ({source.n_features},), not {origin.shape}")
    return dtype, origin


def _check_range(source, start, stop, out):
    if not 0 <= start < stop <= source.n_samples:
        raise IndexError(f"{source.name}: rows {start}:{stop} of {source.n_samples}")
    if out.shape != (stop - start, source.n_features) or not out.flags.c_contiguous:
        raise ValueError(f"out must be C-contiguous with shape {(stop - start, source.n_features)}")


def _read_new(source, start, stop, dtype, origin):
    out = np.empty((stop - start, source.n_features), dtype)
    source.read(start, stop, out, origin=origin)
    return out


def _convert(block, out, origin, name, rows):
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


def _count(number, word):
    return f"{number} {word}" + ("" if number == 1 else "s")
