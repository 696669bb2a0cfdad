"""The base of formats that can only be decoded front to back, block by block."""

import copy
import os
import threading
from abc import abstractmethod
from contextlib import contextmanager

import numpy as np

from ..errors import DataError, FitError
from ..text import show_size
from .base import Source, check_range, convert
from .forks import leak, remake_after_fork
from .npy import open_regular
from .stamps import Stamp

# A decoded block: large enough to hide the cost of a call, small compared with any chunk.
BLOCK_BYTES = 1 << 20
# A block of a wide table: each column costs a few microseconds, however short it is.
WIDE_BLOCK_ROWS, WIDE_BLOCK_BYTES = 2048, 16 << 20
# Larger pieces that must be decoded as a whole get a note.
_LARGE_BYTES = 64 << 20
# Columns are interleaved in tiles of this size, which stay in the cache while column after column
# is written to them: 1.5 to 3 times as fast as whole columns.
_TILE_BYTES = 256 << 10


def block_rows(n_features, itemsize):
    """Rows of a block of about `BLOCK_BYTES`, or more if the rows are wide."""
    width = n_features * itemsize
    return max(1, BLOCK_BYTES // width, min(WIDE_BLOCK_ROWS, WIDE_BLOCK_BYTES // width))


class StreamSource(Source):
    """A source that decodes blocks of rows in order and remembers its position.

    A read that continues where the last one ended decodes nothing twice; one that goes back
    restarts at the nearest of `boundaries`. Threads take turns.

    A subclass sets the attributes of `Source` and defines `_blocks`. A block is a 2-D array, or a
    list of 1-D arrays, one for each column.

    Parameters
    ----------
    path : str, bytes or os.PathLike, optional
        Path of the file, which must not change.
    kind : str
        Kind of the file, for messages.
    """

    _transient = ("_lock", "_stream", "_first", "_block")
    _stamp = None
    # Whether a copy can decode at the same time: no library lock, no need to count lines.
    _has_twins = False

    def __init__(self, path=None, kind=""):
        if path is not None:
            self.name = os.fsdecode(path)
            self.path = os.path.abspath(self.name)
            with open_regular(self.path, self.name, kind) as file:
                self._stamp = Stamp(self.name, os.fstat(file.fileno()))
        self._closed = False
        self._start_over()
        remake_after_fork(self)

    def _start_over(self):
        self._lock = threading.Lock()
        self._forget()

    def after_fork(self):
        if self._stream is not None:
            leak(self._stream)
        self._start_over()

    def _forget(self):
        self._stream = None
        self._first, self._block = 0, None

    @abstractmethod
    def _blocks(self, row):
        """Yield (first row, block) in order, beginning at the boundary at or before `row`."""

    def __getstate__(self):
        return {k: v for k, v in self.__dict__.items() if k not in self._transient}

    def __setstate__(self, state):
        self.__dict__.update(state)
        self._start_over()
        remake_after_fork(self)

    def read(self, start, stop, out, *, origin=None):
        check_range(self, start, stop, out)
        with self._lock:
            row = start
            while row < stop:
                first, block = self._block_with(row)
                last = min(stop, first + _length(block))
                part = out[row - start : last - start]
                self._put(block, slice(row - first, last - first), part, origin, range(row, last))
                row = last

    def gather(self, indices, out, *, origin=None):
        done = 0
        with self._lock:
            while done < len(indices):
                first, block = self._block_with(int(indices[done]))
                end = int(np.searchsorted(indices, first + _length(block)))
                rows = indices[done:end]
                self._put(block, rows - first, out[done:end], origin, rows)
                done = end

    def _put(self, block, where, out, origin, rows):
        if isinstance(block, np.ndarray):
            convert(block[where], out, origin, self.name, rows)
        else:
            columns = [column[where] for column in block]
            put_columns(columns, self.dtype, out, origin, self.name, rows)

    def _block_with(self, row):
        """The decoded block that holds `row`, and the number of its first row."""
        if self._closed:
            raise ValueError(f"{self.name}: read from a closed source")
        if self._block is None or row < self._first or self._may_skip_to(row):
            self._close_stream()
            self._stream = self._blocks(row)
        try:
            while self._block is None or row >= self._first + _length(self._block):
                self._block = None  # frees its memory before the next one is decoded
                self._first, self._block = next(self._stream)
        except StopIteration:
            self._close_stream()
            self.check_unchanged()
            raise DataError(
                f"{self.name}: has fewer rows than when it was opened ({self.n_samples}); do not "
                "write to it during the work"
            ) from None
        except BaseException as error:
            self._close_stream()
            if isinstance(error, DataError):
                self.check_unchanged()  # a change explains it better
            raise
        if self._stream and self._first + _length(self._block) >= self.n_samples:
            self._stream.close()  # do not keep the file open between passes
            self._stream = None
        return self._first, self._block

    def _may_skip_to(self, row):
        """Whether there is a boundary between the decoded block and `row`."""
        if self._block is None:
            return False
        end = self._first + _length(self._block)
        if self.boundaries is None:
            return row > end
        return self.boundaries.before(row) > end

    def twin(self):
        return copy.copy(self) if self._has_twins else None

    def check_unchanged(self, start=0, stop=None):
        if self._stamp is not None:
            self._stamp.check_path(self.path)

    def _close_stream(self):
        stream = self._stream
        self._forget()
        if stream is not None:
            stream.close()

    def rest(self):
        with self._lock:
            self._close_stream()

    def close(self):
        self._closed = True
        self.rest()


def large_notes(what, n_bytes):
    """A note if pieces that must be decoded as a whole are large: they break a memory limit."""
    if n_bytes > _LARGE_BYTES:
        yield (
            f"{what} take up to {show_size(n_bytes)} of memory while they are read, whatever "
            "--memory says; smaller ones take less"
        )


def _length(block):
    return len(block) if isinstance(block, np.ndarray) else len(block[0])


@contextmanager
def report_damage(name, kind):
    """Turn the many kinds of errors that a library raises on opening a file into a `DataError`.

    Memory errors, too: a forged file may ask for more than there is.
    """
    try:
        yield
    except (DataError, FitError):
        raise
    except Exception as error:
        raise DataError(
            f"{name}: is not {kind}, or is damaged ({reason_of(error)}); write or copy it again"
        ) from error


def read_error(name, error):
    """The error of this package for one that a file reader raised in the middle of the work."""
    if isinstance(error, OSError) and error.errno:
        return FitError(f"{name}: reading failed: {error}")
    return DataError(f"{name}: cannot be read ({reason_of(error)}); write or copy the file again")


def reason_of(error):
    """The message of a library's error, in one line of bounded length."""
    return " ".join(str(error).split())[:300] or type(error).__name__


def put_columns(columns, dtype, out, origin, name, rows):
    """Convert `columns` to `dtype` and interleave them into the rows of `out`, as `convert`."""
    try:
        with np.errstate(over="raise", under="ignore", invalid="ignore"):
            _interleave(columns, dtype, out, origin)
    except FloatingPointError:
        with np.errstate(over="ignore", invalid="ignore"):
            block = np.stack([column.astype(dtype) for column in columns], axis=1)
        convert(block, out, origin, name, rows)


def _interleave(columns, dtype, out, origin):
    step = max(1024, min(16384, _TILE_BYTES // max(1, out[:1].nbytes)))
    for start in range(0, len(out), step):
        tile = out[start : start + step]
        for j, column in enumerate(columns):
            part = column[start : start + step]
            if part.dtype != dtype:  # first to the table's dtype, as an array of it would have
                part = part.astype(dtype)
            if origin is None:
                tile[:, j] = part
            else:
                np.subtract(part, origin[j], out=tile[:, j], dtype=np.float64, casting="unsafe")
