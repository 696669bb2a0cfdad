"""Data sets in HDF5 files, including the matrix ``X`` of AnnData (``.h5ad``)."""

import os
import shlex

import h5py

from ..errors import DataError, FitError
from .base import check_dtype, check_shape, scaling_notes
from .boundaries import Even
from .columns import pick, quote_list
from .npy import NpySource, changed_error, open_regular
from .sparse_hdf5 import SparseHdf5Source, is_sparse_group
from .stream import StreamSource, block_rows, read_error, report_damage

_KIND = "an HDF5 file"
# Bytes of the cache in which HDF5 keeps one row of decoded chunks while it is read, at least.
_MIN_CACHE = 1 << 20
# A cache of up to this size has room for two such rows, and is not worth a note.
_SMALL_CACHE = 8 << 20
# Slots of the cache, each for one chunk, at least.
_SLOTS = 521
# Chunks per read, at most: HDF5 takes 7 kB for each, however small.
_MOST_CHUNKS = 128


def open_hdf5(path, inner=None, *, one_feature=False, columns=None):
    """Open one data set of an HDF5 file.

    Parameters
    ----------
    path : str
    inner : str, optional
        Path of the data set in the file; by default ``/X`` in ``.h5ad``, else the only table.
    one_feature : bool
        Take a 1-D data set as one column.
    columns : list of str or int, optional

    Returns
    -------
    Source
        With positioned reads if the data set is stored contiguously, else a stream.
    """
    if inner is None and path.lower().endswith(".h5ad"):
        inner = "/X"
    with report_damage(path, _KIND), _open_file(path, path) as file:
        data = _find(file, path, inner, one_feature)
        if is_sparse_group(data):
            names = _gene_names(file) if data.name == "/X" else None
            return SparseHdf5Source(path, data, _open_file, columns=columns, names=names)
        check_dtype(data.dtype, path)
        shape = check_shape(data.shape, path, one_feature)
        inside = data.name
        offset = _plain_offset(data)
        names = _gene_names(file) if inside == "/X" else None
        notes = scaling_notes(data.attrs)
    if offset is not None:
        source = PlainHdf5Source(path, inside, one_feature=one_feature)
    else:
        source = PackedHdf5Source(path, inside, shape)
    source.notes = (*source.notes, *notes)
    if names is not None and len(names) == source.n_features:
        source.feature_names = names
    return pick(source, columns)


def _gene_names(file):
    """The names that AnnData gives the columns of its `X`; None in other files."""
    var = file.get("var")
    if isinstance(var, h5py.Dataset):  # records, as AnnData wrote up to 0.6
        fields = var.dtype.names or ()
        found = var["index"] if var.ndim == 1 and "index" in fields else None
        text = found is not None and found.dtype.kind in "SO"
        return [_text(name) for name in found] if text else None
    if not isinstance(var, h5py.Group):
        return None
    index = var.get(str(var.attrs.get("_index", "_index")))
    if not isinstance(index, h5py.Dataset) or index.ndim != 1:
        return None
    return [str(n) for n in index.asstr()[:]] if h5py.check_string_dtype(index.dtype) else None


def _text(name):
    return name.decode() if isinstance(name, bytes) else str(name)


def _open_file(path, name, **options):
    with open_regular(path, name, "HDF5") as file:
        if os.fstat(file.fileno()).st_size == 0:
            raise DataError(f"{name}: the file is empty; write the HDF5 file again")
    with report_damage(name, _KIND):
        return h5py.File(path, "r", **options)


def _find(file, name, inner, one_feature):
    """The data set (or sparse matrix) at `inner`, or the only data set that is a table."""
    found = _numeric_sets(file)
    wanted = {2, 1} if one_feature else {2}
    if inner is None:
        tables = [k for k, d in found.items() if d.ndim == 2]
        if not tables and one_feature:
            tables = [k for k, d in found.items() if d.ndim == 1]
        if len(tables) == 1:
            return found[tables[0]]
        what = f"{len(tables)} tables" if tables else "no 2-D data set of numbers"
        raise DataError(
            f"{name}: holds {what}; name a data set as {name}:/PATH"
            + (f", it holds {quote_list(found)}" if found else "")
        )
    item = file.get(inner) if inner.strip("/") else None
    if item is None:
        tables = [k for k, d in found.items() if d.ndim in wanted]
        there = f"its tables are {quote_list(tables)}" if tables else "it holds no tables"
        raise DataError(f"{name}: holds no data set {inner!r}; {there}")
    if isinstance(item, h5py.Dataset) or is_sparse_group(item):
        return item
    inside = [k for k in found if k.startswith(item.name.rstrip("/") + "/")]
    raise DataError(
        f"{name}: {inner} is a group, not a data set"
        + (f"; it holds {quote_list(inside)}" if inside else "; name a data set")
    )


def _numeric_sets(file):
    found = {}

    def visit(key, item):
        if isinstance(item, h5py.Dataset) and item.dtype.kind in "biuf" and item.ndim > 0:
            found["/" + key] = item

    file.visititems(visit)
    return found


def _plain_offset(data):
    """Where the bytes of a data set begin in its file; None if they cannot be read as they are."""
    offset = data.id.get_offset()
    if offset is None or data.chunks is not None or data.external or not data.size:
        return None
    # HDF5 must read data that it converts.
    if data.id.get_storage_size() != data.size * data.dtype.itemsize or data.dtype.kind == "b":
        return None
    return offset


class PlainHdf5Source(NpySource):
    """A contiguous data set, read like a ``.npy`` file."""

    def __init__(self, path, inside, *, one_feature=False):
        self._inside = inside
        super().__init__(path, one_feature=one_feature)

    def _layout(self):
        with report_damage(self.name, _KIND), _open_file(self.path, self.name) as file:
            data = file.get(self._inside)
            offset = None if data is None else _plain_offset(data)
            if offset is None:
                raise changed_error(self.name)
            end = min(offset + data.nbytes, os.fstat(self._file.fileno()).st_size)
            return data.shape, False, data.dtype, offset, end


class PackedHdf5Source(StreamSource):
    """A chunked data set, compressed or not; a pass decodes no chunk twice."""

    def __init__(self, path, inside, shape):
        super().__init__(path, "HDF5")
        self._inside = inside
        self.n_samples, self.n_features = shape
        with report_damage(path, _KIND), _open_file(self.path, self.name) as file:
            data = file[inside]
            self.dtype = data.dtype
            self._shape = data.shape
            chunks = data.chunks
        self._plan(chunks)

    def _plan(self, chunks):
        """Set the rows of a block and the cache of HDF5 for chunks of that shape."""
        itemsize = self.dtype.itemsize
        rows = block_rows(self.n_features, itemsize)
        self._height, self._slots, self._cache = 1, _SLOTS, _MIN_CACHE
        if chunks is None:
            self._step = rows
            return
        self._height = height = min(chunks[0], self.n_samples)
        self.boundaries = Even(height, self.n_samples)
        width = chunks[1] if len(chunks) > 1 else 1
        across = -(-self.n_features // width)
        if height <= rows:  # a block is one or more rows of chunks
            self._step = height * max(1, min(rows // height, _MOST_CHUNKS // across))
            return
        self._step = rows  # a block is part of a row of chunks
        one = chunks[0] * width * itemsize
        self._cache = max(_MIN_CACHE, across * one)
        # so that chunks of one row rarely share a slot
        self._slots = max(_SLOTS, 2 << across.bit_length())
        if 2 * self._cache <= _SMALL_CACHE:
            self._cache *= 2
        else:
            # besides, one chunk as it is stored and one between its filters
            self.reading_bytes = self._cache + 2 * one
            shorter = "x".join(map(str, (rows, *self._shape[1:])))
            self.reading_advice = (
                f"write it in shorter chunks: h5repack -l {self._inside}:CHUNK={shorter} "
                f"{shlex.quote(self.name)} NEW.h5"
            )

    def _blocks(self, row):
        options = {"rdcc_nbytes": self._cache, "rdcc_nslots": self._slots}
        try:
            with _open_file(self.path, self.name, **options) as file:
                data = file.get(self._inside)
                if data is None or data.shape != self._shape or data.dtype != self.dtype:
                    raise changed_error(self.name)
                first = row - row % self._height
                while first < self.n_samples:
                    block = data[first : self._end_of_block(first)]
                    yield first, block.reshape(len(block), -1)
                    first += len(block)
        except (DataError, FitError, MemoryError):
            raise
        except Exception as error:  # h5py raises errors of many kinds
            raise read_error(self.name, error) from error

    def _end_of_block(self, first):
        """The end of a block; a block that is part of a row of chunks stays within that row."""
        end = first + self._step
        if self._step < self._height:
            end = min(end, first - first % self._height + self._height)
        return min(end, self.n_samples)
