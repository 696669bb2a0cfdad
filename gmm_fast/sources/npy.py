"""Files in NumPy's own format, ``.npy``.

Positioned reads fill buffers; there is no memory map: its pages would count as the process's
memory, and a file that shrinks would kill the process (SIGBUS) instead of raising.
"""

import os
import stat
import threading
import weakref
from io import FileIO

import numpy as np
from numpy.lib import format as npy_format

from ..errors import ChangedError, DataError, FitError
from . import npyheader
from .base import Source, check_dtype, check_range, check_shape, convert, piece_rows
from .forks import remake_after_fork
from .stamps import Stamp

# Wanted row ranges closer than this are read as one: reading 64 KiB costs about as much as a call.
_GAP_BYTES = 64 << 10


class NpySource(Source):
    """A ``.npy`` file, read by range; only the requested rows are ever in memory.

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

    concurrent = True
    _stamp = None

    def __init__(self, path, *, one_feature=False):
        self.name = os.fsdecode(path)
        self.path = os.path.abspath(self.name)
        self.one_feature = one_feature
        self._closed = False
        self._lock = threading.Lock()
        remake_after_fork(self)
        self._open()

    def _open(self):
        self._file = open_regular(self.path, self.name)
        # The finalizer closes the file when the source goes away; dropping it would warn.
        self._close = weakref.finalize(self, self._file.close)
        try:
            status = os.fstat(self._file.fileno())
            if self._stamp is None:
                self._stamp = Stamp(self.name, status)
            self._stamp.check(status)
            shape, fortran, self.dtype, self._offset, end = self._layout()
            check_dtype(self.dtype, self.name)
            self.n_samples, self.n_features = check_shape(shape, self.name, self.one_feature)
            self._fortran = fortran and self.n_features > 1
            check_size(self, end - self._offset, self._fortran)
        except BaseException:
            self._close()
            raise
        # In Fortran order columns lie far apart: reading a range costs n_features calls.
        self._max_gap = (
            self.n_samples
            if self._fortran
            else max(1, _GAP_BYTES // (self.n_features * self.dtype.itemsize))
        )

    def _layout(self):
        """Return shape, Fortran flag, dtype, and the offsets where the data begins and ends."""
        header = read_header(self._file, self.name)
        return *header, self._file.tell(), os.fstat(self._file.fileno()).st_size

    def __getstate__(self):
        return {k: v for k, v in self.__dict__.items() if k not in ("_file", "_close", "_lock")}

    def __setstate__(self, state):
        # The first read opens the file: there may be more files than descriptors.
        self.__dict__.update(state)
        self._lock = threading.Lock()
        remake_after_fork(self)
        self._file = None
        self._close = _nothing

    def after_fork(self):
        self._lock = threading.Lock()

    def rest(self):
        self._close()

    def close(self):
        self._closed = True
        self._close()

    def _reopen(self):
        """Open the file again after `rest`; it must not have changed."""
        if self._closed:
            raise ValueError(f"{self.name}: read from a closed source")
        self._open()

    def check_unchanged(self, start=0, stop=None):
        file = self._file
        try:
            # another file at the path does not matter while the old one is open
            status = None if file is None else os.fstat(file.fileno())
        except ValueError:  # closed by `rest`
            status = None
        if status is None:
            self._stamp.check_path(self.path)
        else:
            self._stamp.check(status)

    def read(self, start, stop, out, *, origin=None):
        check_range(self, start, stop, out)
        if origin is None and not self._fortran and out.dtype == self.dtype:
            self._read_items(start * self.n_features, out)
            return
        step = piece_rows(self)
        scratch = np.empty(min(step, stop - start) * self.n_features, self.dtype)
        for first in range(start, stop, step):
            last = min(first + step, stop)
            piece = self._read_piece(first, last, scratch)
            part = out[first - start : last - start]
            convert(piece, part, origin, self.name, range(first, last))

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
        with self._lock:
            if self._file is None or self._file.closed:
                self._reopen()
        raw = out.reshape(-1).view(np.uint8)
        position = self._offset + first * self.dtype.itemsize
        done = 0
        while done < raw.size:
            try:
                count = self._read_at(raw[done:], position + done)
            except OSError as error:
                raise FitError(f"{self.name}: reading failed: {error.strerror}") from error
            if count == 0:
                raise ChangedError(
                    f"{self.name}: the file became shorter while it was read; do not write to "
                    "it during the work"
                )
            done += count

    def _read_at(self, buffer, position):
        if hasattr(os, "preadv"):
            return os.preadv(self._file.fileno(), [buffer], position)
        with self._lock:  # Windows: no positioned read
            self._file.seek(position)
            return self._file.readinto(buffer)


def open_regular(path, name, kind=".npy"):
    """Open a regular file for reading, or raise `DataError` saying why not."""
    try:
        mode = os.stat(path).st_mode
        # Open regular files only: opening a pipe would wait for a writer.
        file = FileIO(path) if stat.S_ISREG(mode) else None
    except FileNotFoundError as error:
        raise DataError(f"{name}: no such file; check the path") from error
    except PermissionError as error:
        raise DataError(f"{name}: permission denied; make the file readable") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the path
        raise DataError(f"{name}: cannot be opened: {error}; check the path") from error
    if stat.S_ISDIR(mode):
        raise DataError(f"{name}: is a directory; give the path of a {kind} file")
    if file is None:
        raise DataError(f"{name}: is not a regular file; save the data to a {kind} file first")
    return file


def check_size(source, found, fortran=False):
    """Raise `DataError` unless there are as many bytes as the header of `source` announces."""
    shape = source.n_samples, source.n_features
    expected = npyheader.n_bytes(shape, source.dtype)
    if found < expected:
        lines, length, word = *shape, "rows"
        if fortran:
            lines, length, word = length, lines, "columns"
        held = found // (length * source.dtype.itemsize)
        raise DataError(
            f"{source.name}: the file is cut short: {expected} bytes of data expected, {found} "
            f"found ({held} of {lines} {word}); write or copy it again"
        )
    if found > expected:
        # np.load would silently read the first array and ignore the rest.
        raise DataError(
            f"{source.name}: {found - expected} bytes follow the {expected} that the header "
            "announces (several np.save calls into one file?); save one array per file, "
            "e.g. np.save('data.npy', np.concatenate(parts))"
        )


def _nothing():
    """Closes a source whose file is not open."""


def changed_error(name):
    return ChangedError(f"{name}: the file changed while it was used; do not write to it meanwhile")


def read_header(file, name):
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
    if version not in npyheader.VERSIONS:
        raise DataError(
            f"{name}: .npy format version {version[0]}.{version[1]} is not supported; {advice}"
        )
    try:
        return npyheader.parse(file, version)
    except Exception as error:  # the parsers of Python and NumPy raise many kinds of errors
        raise DataError(f"{name}: the .npy header is damaged ({error}); {advice}") from error
