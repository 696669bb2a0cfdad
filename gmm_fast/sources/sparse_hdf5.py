"""Sparse matrices in HDF5 files, as AnnData (``.h5ad``) stores them."""

import h5py
import numpy as np

from ..errors import DataError
from .base import check_dtype, check_shape
from .npy import changed_error
from .sparse import NOTE, Densifier, choose_sparse
from .stream import StreamSource, block_rows, read_error

_PARTS = ("data", "indices", "indptr")
_MIN_CACHE, _MAX_CACHE = 1 << 20, 64 << 20


def is_sparse_group(item):
    """Whether an item of an HDF5 file is a sparse matrix in compressed form."""
    return isinstance(item, h5py.Group) and set(_PARTS) <= set(item)


class SparseHdf5Source(StreamSource):
    """A sparse matrix stored by rows (CSR); a block of rows is made dense at a time.

    Parameters
    ----------
    path : str
    group : h5py.Group
        In the open file.
    open_file : callable
        open_file(path, name, **options) opens the file again.
    columns : list of str or int, optional
    names : list of str, optional
        Of all columns.
    """

    notes = (NOTE,)

    def __init__(self, path, group, open_file, *, columns=None, names=None):
        super().__init__(path, "HDF5")
        self._inside, self._open_file = group.name, open_file
        self._layout = n, d = self._layout_of(group)
        check_shape((n, d), path, False)
        data = group["data"]
        check_dtype(data.dtype, path)
        names = names if names is not None and len(names) == d else None
        chosen, self.feature_names = choose_sparse(columns, names, d, path)
        self.n_samples, self.n_features, self.dtype = n, len(chosen), data.dtype
        self._dense = Densifier(chosen, d, self.dtype)
        self._step = block_rows(d, self.dtype.itemsize)
        chunk = max((group[p].chunks or (0,))[0] * group[p].dtype.itemsize for p in _PARTS)
        self._cache = max(_MIN_CACHE, min(_MAX_CACHE, 2 * chunk))

    def _layout_of(self, group):
        """The shape of the matrix; raises `DataError` unless its parts fit together."""
        attrs = group.attrs
        form = attrs.get("encoding-type", attrs.get("h5sparse_format"))
        if isinstance(form, str) and form.startswith("csc"):
            raise DataError(
                f"{self.name}: {group.name} is a sparse matrix stored by columns, so no row can be "
                "read alone; store it by rows, e.g. adata.X = adata.X.tocsr()"
            )
        shape = np.asarray(attrs.get("shape", attrs.get("h5sparse_shape")))
        parts = [group[p] for p in _PARTS]
        good = all(isinstance(p, h5py.Dataset) and p.ndim == 1 for p in parts)
        good = good and isinstance(form, str) and form.startswith("csr")
        good = good and shape.shape == (2,) and shape.dtype.kind in "iu"
        good = good and all(p.dtype.kind in "iu" for p in parts[1:])
        if not good or len(parts[0]) != len(parts[1]) or len(parts[2]) != shape[0] + 1:
            raise DataError(
                f"{self.name}: {group.name} is not a complete sparse matrix as AnnData stores one "
                "(by rows, with its shape); write the file again"
            )
        return int(shape[0]), int(shape[1])

    def _blocks(self, row):
        try:
            with self._open_file(self.path, self.name, rdcc_nbytes=self._cache) as file:
                group = file.get(self._inside)
                if not is_sparse_group(group) or self._layout_of(group) != self._layout:
                    raise changed_error(self.name)
                data, indices, indptr = (group[part] for part in _PARTS)
                for first in range(row, self.n_samples, self._step):
                    last = min(first + self._step, self.n_samples)
                    ends = indptr[first : last + 1].astype(np.int64)
                    self._check(ends, first, len(data))
                    stored = slice(int(ends[0]), int(ends[-1]))
                    places = indices[stored]
                    if len(places) and not 0 <= places.min() <= places.max() < self._layout[1]:
                        raise self._damage(first, last)
                    yield first, self._dense.rows(ends, places, data[stored])
        except (OSError, RuntimeError) as error:
            raise read_error(self.name, error) from error

    def _check(self, ends, first, stored):
        """Raise `DataError` unless rows lie within the stored entries, before those are read."""
        counts = np.diff(ends)
        d = self._layout[1]  # most entries of a row
        if ends[0] < 0 or ends[-1] > stored or not 0 <= counts.min() <= counts.max() <= d:
            raise self._damage(first, first + len(counts))

    def _damage(self, first, last):
        return DataError(
            f"{self.name}: rows {first} to {last - 1} of the sparse matrix {self._inside} are "
            "damaged; write or copy the file again"
        )
