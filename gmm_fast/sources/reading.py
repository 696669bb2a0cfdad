"""Read any source in chunks, as a whole or by single rows, and find bad values.

Nothing here knows a format: everything goes through `Source`.
"""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from queue import SimpleQueue

import numpy as np

from ..checks import spell
from ..errors import DataError
from .array import ArraySource
from .base import column_label, piece_rows

# Bytes that one thread reads at a time, at least.
_SHARE_BYTES = 1 << 20
# Pieces per thread when all rows are read: with several, the wait for the last one is short.
_PIECES = 4
# How events about reading begin.
_READING = "reading "


def chunks(source, rows, dtype, *, origin=None, readers=1):
    """Yield all rows in order, as C-contiguous arrays of `rows` rows (the last may be shorter).

    If nothing has to be read, moved or converted, the chunks are views of the data, and read-only
    if the data is. Otherwise threads fill one buffer while the caller works on the other: **a
    chunk is valid only until the next one is requested**. Closing the generator (or leaving its
    loop, once it is no longer referenced) ends the threads.

    Parameters
    ----------
    source : Source
    rows : int
        Rows per chunk, at least 1.
    dtype : dtype
        A floating dtype.
    origin : ndarray, shape (n_features,), float64, optional
        Subtracted from every row in float64, before the conversion to `dtype`, so that data
        far from zero keeps its digits in float32.
    readers : int
        Reading threads, at most, if the source allows several. With as many as the caller has
        threads, they compete evenly for the cores.

    Yields
    ------
    ndarray, shape (m, n_features)

    Raises
    ------
    DataError, FitError
        As `Source.read`, from whichever thread.
    """
    if rows < 1:
        raise ValueError(f"rows must be at least 1, not {rows}")
    dtype, origin = _check_target(source, dtype, origin)
    whole = source.view(0, source.n_samples, dtype) if origin is None else None
    if whole is not None:
        return (whole[start : start + rows] for start in range(0, len(whole), rows))
    return _copied_chunks(source, rows, dtype, origin, readers if source.concurrent else 1)


def _copied_chunks(source, rows, dtype, origin, readers):
    n = source.n_samples
    shape = (min(rows, n), source.n_features)
    if rows >= n:
        yield _read_new(source, 0, n, dtype, origin)
        source.check_unchanged()
        return

    buffers = [np.empty(shape, dtype), np.empty(shape, dtype)]
    most = max(1, buffers[0].nbytes // _SHARE_BYTES)
    share = -(-rows // min(readers, most))

    def fill(start):
        """Start reading the chunk at `start` in shares; return it and the futures."""
        out = buffers[start // rows % 2][: n - start]
        parts = [
            pool.submit(source.read, start + first, start + first + len(part), part, origin=origin)
            for first, part in ((i, out[i : i + share]) for i in range(0, len(out), share))
        ]
        return out, parts

    def wait(chunk, parts):
        for part in parts:
            part.result()
        return chunk

    # At most one chunk is being read: leaving the block waits for that only.
    with ThreadPoolExecutor(readers, thread_name_prefix="gmm-fast-read") as pool:
        pending = fill(0)
        for following in range(rows, n, rows):
            chunk = wait(*pending)
            pending = fill(following)
            yield chunk
        yield wait(*pending)
    # after the pass, so that a change during it is noticed
    source.check_unchanged()


def load_resident(source, dtype, *, origin=None, readers=1):
    """Load all rows as one C-contiguous array of `dtype`, without a copy where possible.

    Parameters
    ----------
    source : Source
    dtype : dtype
    origin : ndarray, shape (n_features,), float64, optional
        Subtracted in float64 before the conversion.
    readers : int
        Decoding threads, at most; each starts at a row where decoding can begin.

    Returns
    -------
    ArraySource
        With the name of `source`.
    """
    dtype, origin = _check_target(source, dtype, origin)
    n = source.n_samples
    whole = source.view(0, n, dtype) if origin is None else None
    if whole is None:
        whole = np.empty((n, source.n_features), dtype)
        _read_whole(source, whole, origin, readers)
        source.check_unchanged()
    return ArraySource(whole, source.name)


def _read_whole(source, out, origin, readers):
    """Fill `out` with all rows, with several readers if the source has them."""
    edges = _edges(source, _PIECES * readers) if readers > 1 else [0, len(out)]
    readers = min(readers, len(edges) - 1)
    twins = [source.twin() for _ in range(1, readers)]
    if not twins or twins[0] is None:
        source.read(0, len(out), out, origin=origin)
        return
    idle = SimpleQueue()
    for reader in (source, *twins):
        idle.put(reader)

    def read(start, stop):
        reader = idle.get()
        try:
            reader.read(start, stop, out[start:stop], origin=origin)
        finally:
            idle.put(reader)

    with ThreadPoolExecutor(readers, thread_name_prefix="gmm-fast-read") as pool:
        try:
            for piece in [pool.submit(read, *ends) for ends in pairwise(edges)]:
                piece.result()
        finally:  # the error of the first failing piece is raised, and cancels the others
            pool.shutdown(wait=True, cancel_futures=True)
            for twin in twins:
                twin.close()
            source.rest()


def _edges(source, pieces):
    """Edges of about that many pieces of the rows, each of which can be decoded alone."""
    n, boundaries = source.n_samples, source.boundaries
    if boundaries is None:
        return [0, n]
    starts = {boundaries.before(i * n // pieces) for i in range(min(pieces, n))}
    return [*sorted(starts), n]


def take(source, indices, dtype, *, origin=None):
    """Read single rows; besides the result, only a bounded buffer is held.

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
        A row number lies outside the data.
    ValueError
        The row numbers are not strictly increasing integers.
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
    if indices.size:
        source.check_unchanged(int(indices[0]), int(indices[-1]) + 1)
    return out


def first_bad_row(source) -> tuple[int, int, float] | None:
    """Find the first row that holds a NaN or an infinity.

    Parameters
    ----------
    source : Source

    Returns
    -------
    (row, column, value) or None
        Counted from 0; None if every value is finite (integers are not even read).
    """
    if source.dtype.kind != "f":
        return None
    rows = piece_rows(source)
    start = 0
    for chunk in chunks(source, rows, source.dtype.newbyteorder("=")):
        finite = np.isfinite(chunk)
        if not finite.all():
            source.check_unchanged()
            row, column = divmod(int(np.argmin(finite)), source.n_features)
            return start + row, column, float(chunk[row, column])
        start += len(chunk)
    return None


def bad_value_error(source, bad):
    """The `DataError` for a result of `first_bad_row`."""
    row, column, value = bad
    name, local = source.locate(row)
    advice = "remove or fill such rows first"
    if np.isnan(value):
        advice += ", or leave them out: open_source(..., missing='drop'), --missing drop"
    return DataError(
        f"{name}: row {local} (counting from 0), {column_label(source, column)} is "
        f"{spell(value)}; {advice}"
    )


def notes_of(source):
    """The notes on how `source` is read, as events: with its name."""
    return [f"{_READING}{source.name}: {note}" for note in (*source.notes, *source.remarks)]


def is_reading_note(event):
    """Whether an event comes from `notes_of`."""
    return event.startswith(_READING)


def files_of(source):
    """Paths of the files that a source reads."""
    if hasattr(source, "parts"):
        return [path for part in source.parts for path in files_of(part)]
    if hasattr(source, "path"):
        return [source.path]
    return files_of(source.source) if hasattr(source, "source") else []


def written_of(source):
    """The format of the text that a source reads.

    Returns
    -------
    dict of str -> list
        The values in its files of delimiter, decimal, header (whether there are names) and index
        (whether the first column was left out); empty if it reads no text.
    """
    if hasattr(source, "parts"):
        found = {}
        for part in source.parts:
            for what, values in written_of(part).items():
                found[what] = list(dict.fromkeys(found.get(what, []) + values))
        return found
    if hasattr(source, "written"):
        return source.written
    return written_of(source.source) if hasattr(source, "source") else {}


def check_columns(source, n_features, what):
    """Raise `DataError` unless `source` has `n_features` columns, as `what` has."""
    if source.n_features != n_features:
        raise DataError(
            f"{source.name} has {_count(source.n_features, 'column')}, but {what} has "
            f"{n_features}; give data with the same columns in the same order"
        )


def _check_target(source, dtype, origin):
    dtype = np.dtype(dtype)
    if dtype.kind != "f" or not dtype.isnative:
        raise ValueError(f"dtype must be a native floating dtype, not {dtype}")
    if origin is not None:
        origin = np.ascontiguousarray(origin, np.float64)
        if origin.shape != (source.n_features,):
            raise ValueError(f"origin must have shape ({source.n_features},), not {origin.shape}")
    return dtype, origin


def _read_new(source, start, stop, dtype, origin):
    out = np.empty((stop - start, source.n_features), dtype)
    source.read(start, stop, out, origin=origin)
    return out


def _count(number, word):
    return f"{number} {word}" + ("" if number == 1 else "s")
