"""Zarr arrays: folders of chunks, or such a folder in a ``.zip``."""

import os
from contextlib import contextmanager

import numpy as np
import zarr

from ..errors import DataError
from .base import check_dtype, check_shape, scaling_notes
from .boundaries import Even
from .columns import choose, quote_list
from .npy import changed_error
from .stream import StreamSource, block_rows, large_notes, read_error, report_damage

_KIND = "a Zarr array"


@contextmanager
def _open_file(path, name):
    """The array or group at `path`."""
    if not os.path.exists(path):
        raise DataError(f"{name}: no such file; check the path")
    with report_damage(name, _KIND):  # zarr trusts the file, so damage fails in many ways
        if path.lower().endswith(".zip"):
            store = zarr.storage.ZipStore(path, mode="r")
        else:
            store = zarr.storage.LocalStore(path, read_only=True)
        root = zarr.open(store, mode="r")
    try:
        yield root
    finally:
        store.close()


class ZarrSource(StreamSource):
    """A Zarr array; whole rows of chunks are decoded at a time.

    Parameters
    ----------
    path : str
    inner : str, optional
        Path of the array in a group; needed unless exactly one is a table of numbers.
    columns : list of str or int, optional
    one_feature : bool
        Take a 1-D array as one column.

    Raises
    ------
    DataError
        There is no such array of numbers.
    """

    def __init__(self, path, inner=None, *, columns=None, one_feature=False):
        super().__init__()
        self.name, self.path = path, os.path.abspath(path)
        with report_damage(path, _KIND), _open_file(self.path, path) as root:
            self._inside, array = _find(root, path, inner, one_feature)
            check_dtype(np.dtype(array.dtype), path)
            n, d = check_shape(array.shape, path, one_feature)
            self._shape, self.dtype = array.shape, np.dtype(array.dtype)
            height = min(array.chunks[0], n)
            across = height * d * self.dtype.itemsize
            packed = scaling_notes(array.attrs)
            self.notes = (*_notes(array), *large_notes("rows of chunks", across), *packed)
        self._columns = None if columns is None else choose(columns, None, d, path)
        self.n_samples, self.n_features = n, d if columns is None else len(self._columns)
        rows = block_rows(d, self.dtype.itemsize)
        self._step = rows - rows % height if rows >= height else height
        self.boundaries = Even(self._step, n)

    def _blocks(self, row):
        try:
            with _open_file(self.path, self.name) as root:
                array = root[self._inside] if self._inside else root
                if array.shape != self._shape or array.dtype != self.dtype:
                    raise changed_error(self.name)
                for first in range(row - row % self._step, self.n_samples, self._step):
                    block = np.asarray(array[first : first + self._step])
                    block = block.reshape(len(block), -1)
                    yield first, block if self._columns is None else block[:, self._columns]
        except (DataError, MemoryError, GeneratorExit):
            raise
        except Exception as error:  # from any codec
            raise read_error(self.name, error) from error


def _find(root, name, inner, one_feature):
    """The path of the array in the root, "" for the root itself, and the array."""
    if isinstance(root, zarr.Array):
        if inner is not None and inner.strip("/"):
            raise DataError(f"{name}: is one array; leave out :{inner}")
        return "", root
    found = {k: a for k, a in root.members(max_depth=None) if isinstance(a, zarr.Array)}
    numeric = {k: a for k, a in found.items() if np.dtype(a.dtype).kind in "biuf"}
    if inner is not None:
        if (key := inner.strip("/")) in found:
            return key, found[key]
        if {f"{key}/{part}" for part in ("data", "indices", "indptr")} <= set(found):
            raise DataError(
                f"{name}: {inner} is a sparse matrix, which is read from .h5ad only; write it with "
                "adata.write_h5ad"
            )
        there = f"it holds {quote_list(numeric)}" if numeric else "it holds no arrays of numbers"
        raise DataError(f"{name}: holds no array {inner!r}; {there}")
    tables = [k for k, a in numeric.items() if a.ndim == 2]
    if not tables and one_feature:
        tables = [k for k, a in numeric.items() if a.ndim == 1]
    if len(tables) == 1:
        return tables[0], found[tables[0]]
    what = f"{len(tables)} tables" if tables else "no 2-D array of numbers"
    raise DataError(
        f"{name}: holds {what}; name an array as {name}:/PATH"
        + (f", it holds {quote_list(numeric)}" if numeric else "")
    )


def _notes(array):
    """A note if chunks are missing, which Zarr reads as the fill value."""
    missing = array.nchunks - array.nchunks_initialized
    if missing > 0:
        yield (
            f"{missing:,} of its {array.nchunks:,} chunks are missing and read as the fill value, "
            f"{array.fill_value}"
        )
