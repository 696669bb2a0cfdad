"""Arrays in NumPy archives, ``.npz``."""

import os
import struct
import zipfile
import zlib
from contextlib import contextmanager

import numpy as np

from ..errors import DataError
from .base import check_dtype, check_shape
from .boundaries import Listed
from .columns import quote_list
from .npy import NpySource, changed_error, check_size, open_regular, read_header
from .stream import StreamSource, block_rows, read_error

_MODEL = {"weights", "means", "covariances", "header"}
_LOCAL_HEADER = struct.Struct("<4s22xHH")
# ValueError: a name that is not UTF-8, or a negative offset. RuntimeError: an encrypted member.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
)
# The methods that NumPy writes. With others zipfile unpacks whole blocks of unbounded size.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# Deflate packs 258 bytes into 2 bits at best.
_MOST_PACKED = 1032


def open_npz(path, inner=None, *, one_feature=False):
    """Open one array of an archive.

    Parameters
    ----------
    path : str
    inner : str, optional
        Name of the array; needed unless exactly one is a table of numbers.
    one_feature : bool
        Take a 1-D array as one column.

    Returns
    -------
    Source
        With positioned reads if the array is stored uncompressed, else a stream.
    """
    file = open_regular(path, path, ".npz")
    with file:
        if os.fstat(file.fileno()).st_size == 0:
            raise DataError(f"{path}: the file is empty; save the data with np.savez(path, X=X)")
        with _report_damage(path), zipfile.ZipFile(file) as archive:
            member = _choose(archive, path, inner, one_feature)
            _header(archive, member, path)  # raises unless it lies where the directory says
    source = StoredNpzSource if member.compress_type == zipfile.ZIP_STORED else PackedNpzSource
    return source(path, member, one_feature=one_feature)


@contextmanager
def _report_damage(path):
    """Turn errors of the archive reader into a `DataError`."""
    try:
        yield
    except DataError:
        raise
    except _DAMAGE as error:
        reason = str(error) or type(error).__name__
        raise DataError(
            f"{path}: is not a .npz file, or is damaged ({reason}); write or copy it again"
        ) from error


def _choose(archive, path, inner, one_feature):
    members = {
        info.filename.removesuffix(".npy"): info
        for info in archive.infolist()
        if info.filename.endswith(".npy")
    }
    if inner is not None:
        if inner not in members:
            raise DataError(f"{path}: holds no array {inner!r}; it holds {quote_list(members)}")
        return members[inner]
    if set(members) >= _MODEL:
        raise DataError(f"{path}: holds a model, not data; MODEL comes before DATA")
    headers = {name: _header(archive, info, path) for name, info in members.items()}
    numeric = [name for name, (_, _, dtype) in headers.items() if dtype.kind in "biuf"]
    tables = [name for name in numeric if len(headers[name][0]) == 2]
    if not tables and one_feature:
        tables = [name for name in numeric if len(headers[name][0]) == 1]
    if len(tables) == 1:
        return members[tables[0]]
    if len(members) == 1 and one_feature is False:
        return next(iter(members.values()))  # opening it says what is wrong with it
    what = f"{len(tables)} tables" if tables else "no 2-D array of numbers"
    raise DataError(
        f"{path}: holds {what}; name an array as {path}:NAME, it holds {quote_list(members)}"
        if members
        else f"{path}: holds no arrays; save the data with np.savez(path, X=X)"
    )


def _header(archive, info, path):
    if info.compress_type not in _METHODS:
        raise DataError(
            f"{path}: {info.filename} is compressed by a method that NumPy does not use; write it "
            "with np.savez_compressed"
        )
    with archive.open(info) as file:
        return read_header(file, path)


class StoredNpzSource(NpySource):
    """An uncompressed array of an archive: a ``.npy`` file within a file."""

    def __init__(self, path, member, *, one_feature=False):
        self._member = member.header_offset, member.file_size
        super().__init__(path, one_feature=one_feature)

    def _layout(self):
        offset, size = self._member
        self._file.seek(offset)
        head = self._file.read(_LOCAL_HEADER.size)
        if len(head) < _LOCAL_HEADER.size or head[:4] != b"PK\x03\x04":
            raise changed_error(self.name)
        _, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(head)
        begin = offset + _LOCAL_HEADER.size + name_bytes + extra_bytes
        self._file.seek(begin)
        header = read_header(self._file, self.name)
        end = min(begin + size, os.fstat(self._file.fileno()).st_size)
        return *header, self._file.tell(), end


class PackedNpzSource(StreamSource):
    """A compressed array of an archive; every pass unpacks it from the beginning."""

    boundaries = Listed()

    def __init__(self, path, member, *, one_feature=False):
        super().__init__(path, ".npz")
        self._member = member.filename
        with (
            _report_damage(path),
            zipfile.ZipFile(self.path) as archive,
            archive.open(self._member) as file,
        ):
            shape, fortran, self.dtype = read_header(file, self.name)
            header_bytes = file.tell()
        check_dtype(self.dtype, self.name)
        self.n_samples, self.n_features = check_shape(shape, self.name, one_feature)
        # before memory is allocated for what the header announces
        check_size(self, member.file_size - header_bytes)
        if member.file_size > _MOST_PACKED * member.compress_size:
            raise DataError(f"{path}: is a damaged .npz file; write or copy it again")
        if fortran and self.n_features > 1 and self.n_samples > 1:
            raise DataError(
                f"{self.name}: the array is compressed in column order, so no row can be read "
                "alone; save np.ascontiguousarray(X)"
            )

    def _blocks(self, row):
        step = block_rows(self.n_features, self.dtype.itemsize)
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(self._member) as file:
                read_header(file, self.name)
                for first in range(0, self.n_samples, step):
                    rows = min(step, self.n_samples - first)
                    block = np.empty((rows, self.n_features), self.dtype)
                    if not _fill(file, block):
                        return
                    yield first, block
        except DataError:
            raise
        except _DAMAGE as error:
            raise read_error(self.name, error) from error


def _fill(file, block):
    raw = memoryview(block.reshape(-1).view(np.uint8))
    done = 0
    while done < len(raw):
        count = file.readinto(raw[done:])
        if not count:
            return False
        done += count
    return True
