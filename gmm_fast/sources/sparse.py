"""Sparse matrices in memory, converted to dense rows piece by piece."""

import sys

import numpy as np

from ..errors import DataError, DataTypeError
from .base import Source, check_dtype, check_range, check_shape, convert
from .columns import choose
from .stream import block_rows

# More columns than this are refused: their covariance would have millions of entries.
_MOST_COLUMNS = 2000
# Note on every sparse matrix that is read.
NOTE = "a sparse matrix, made dense piece by piece"


def is_sparse(data):
    """Whether `data` is a SciPy sparse matrix or array; imports nothing to find out."""
    scipy_sparse = sys.modules.get("scipy.sparse")
    return scipy_sparse is not None and scipy_sparse.issparse(data)


def choose_sparse(columns, names, n_features, name):
    """Return the numbers of the wanted columns, and their names or None.

    Raises
    ------
    DataError
        There are no such columns.
    DataTypeError
        They are too many to be made dense.
    """
    chosen = range(n_features)
    if columns is not None:
        chosen = choose(columns, names, n_features, name)
    if len(chosen) > _MOST_COLUMNS:
        raise DataTypeError(  # in scikit-learn's words
            f"{name}: Sparse data was passed for X, but dense data is required: of {len(chosen):,} "
            f"columns at most {_MOST_COLUMNS:,} are made dense here. Reduce them first, e.g. with "
            "sklearn.decomposition.TruncatedSVD(50).fit_transform(X), or choose some with columns= "
            "(--columns)"
        )
    return chosen, None if names is None else [names[j] for j in chosen]


class Densifier:
    """Makes rows of a compressed sparse matrix dense, with some of its columns.

    Parameters
    ----------
    chosen : sequence of int
        Columns, in the order wanted.
    n_features : int
        Of the matrix.
    dtype : numpy.dtype
    """

    def __init__(self, chosen, n_features, dtype):
        self.width, self.dtype = len(chosen), dtype.newbyteorder("=")
        self.places = np.full(n_features, -1, np.int64)
        self.places[np.asarray(chosen, np.int64)] = np.arange(self.width)

    def rows(self, ends, indices, values):
        """Rows as a dense array.

        Parameters
        ----------
        ends : (m + 1,) ints
            Where each row begins in the other arrays, and where the last one ends.
        indices, values
            Columns and values of the stored entries; duplicates are added.
        """
        m = len(ends) - 1
        dense = np.zeros((m, self.width), self.dtype)
        places = self.places[indices]
        at = np.repeat(np.arange(m) * self.width, np.diff(ends)) + places
        wanted = places >= 0
        np.add.at(dense.reshape(-1), at[wanted], values[wanted])
        return dense


class SparseSource(Source):
    """A SciPy sparse matrix; unless it is in CSR form, it is converted once.

    Parameters
    ----------
    matrix : scipy.sparse array or matrix
    name : str
    columns : list of str or int, optional
    names : list of str, optional
        Of all columns.
    """

    concurrent = True
    notes = (NOTE,)

    def __init__(self, matrix, name="X", *, columns=None, names=None):
        check_dtype(matrix.dtype, name)
        self.n_samples, d = check_shape(matrix.shape, name, False)
        chosen, self.feature_names = choose_sparse(columns, names, d, name)
        self.name, self.n_features, self.dtype = name, len(chosen), matrix.dtype
        self.matrix = matrix.tocsr()
        try:
            self.matrix.check_format(full_check=True)
        except ValueError as error:
            raise DataError(f"{name}: is a damaged sparse matrix ({error})") from error
        if self.matrix is not matrix:
            parts = self.matrix.data, self.matrix.indices, self.matrix.indptr
            self.held_bytes = sum(part.nbytes for part in parts)
        self._dense = Densifier(chosen, d, self.dtype)
        self._step = block_rows(d, self.dtype.itemsize)

    def read(self, start, stop, out, *, origin=None):
        check_range(self, start, stop, out)
        for first in range(start, stop, self._step):
            last = min(first + self._step, stop)
            ends = self.matrix.indptr[first : last + 1]
            stored = slice(ends[0], ends[-1])
            rows = self._dense.rows(ends, self.matrix.indices[stored], self.matrix.data[stored])
            part = out[first - start : last - start]
            convert(rows, part, origin, self.name, range(first, last))
