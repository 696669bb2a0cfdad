"""Sparse matrices, of SciPy and in AnnData, in memory and in files."""

import pickle
import sys
import types

import h5py
import numpy as np
import pytest
import scipy.sparse
from formats import shrink_blocks
from invoking import run
from test_formats import check_reads
from test_sources import joined

from gmm_fast import GaussianMixture
from gmm_fast.errors import DataError, DataTypeError
from gmm_fast.sources import open_source, take

NOTE = ("a sparse matrix, made dense piece by piece",)


def dense_of(dtype="f8", n=60, d=5):
    rng = np.random.default_rng(0)
    return (rng.integers(-9, 9, (n, d)) * (rng.uniform(size=(n, d)) < 0.3)).astype(dtype)


def h5ad(path, matrix, names=None, **changes):
    """A file as AnnData writes it."""
    parts = {"data": matrix.data, "indices": matrix.indices, "indptr": matrix.indptr} | changes
    with h5py.File(path, "w") as file:
        for name, values in parts.items():
            file[f"X/{name}"] = values
        file["X"].attrs.update({"encoding-type": "csr_matrix", "shape": matrix.shape})
        if names is not None:
            file["var/_index"] = names
            file["var"].attrs["_index"] = "_index"
    return path


@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "u1", "?"])
@pytest.mark.parametrize("form", ["csr", "csc", "coo", "lil", "file"])
def test_sparse_is_read_as_dense(tmp_path, monkeypatch, form, dtype):
    shrink_blocks(monkeypatch, 200)
    X = dense_of(dtype)
    X[3:9] = 0  # rows without anything
    for kind in (scipy.sparse.csr_array, scipy.sparse.csr_matrix):
        matrix = kind(X)
        if form == "file":
            if dtype == "?":
                continue
            data = h5ad(tmp_path / "x.h5ad", matrix, [f"g{j}" for j in range(5)])
        else:
            data = matrix.asformat(form)
        with open_source(data) as source:
            assert source.notes == NOTE
            check_reads(source, X)
        with open_source(data, columns=[4, "1"]) as source:
            check_reads(source, np.ascontiguousarray(X[:, [4, 1]]))


def test_what_is_stored_twice_is_added(tmp_path):
    twice = scipy.sparse.csr_array(
        (np.array([1.0, 2.0, 4.0]), np.array([1, 1, 0]), np.array([0, 2, 3])), shape=(2, 2)
    )
    for data in (twice, h5ad(tmp_path / "x.h5ad", twice)):
        with open_source(data) as source:
            np.testing.assert_array_equal(joined(source, 9, "f8"), twice.toarray())
    assert twice.nnz == 3  # the caller's is not changed


def test_pickled_sources_read_on(tmp_path):
    X = dense_of()
    for data in (scipy.sparse.csr_array(X), h5ad(tmp_path / "x.h5ad", scipy.sparse.csr_array(X))):
        with pickle.loads(pickle.dumps(open_source(data, columns=[1, 3]))) as copy:
            np.testing.assert_array_equal(joined(copy, 7, "f8"), X[:, [1, 3]])


def test_wide_matrices_are_refused_or_chosen_of(tmp_path):
    wide = scipy.sparse.random_array((50, 2001), density=0.01, rng=1).tocsr()
    path = h5ad(tmp_path / "x.h5ad", wide, [f"g{j}" for j in range(2001)])
    for data, name in ((wide, "X"), (path, str(path))):
        with pytest.raises(DataTypeError, match=r"2,001 columns at most 2,000 .*SVD.*columns="):
            open_source(data)
        with open_source(data, columns=range(2000)) as source:
            np.testing.assert_array_equal(joined(source, 7, "f8"), wide.toarray()[:, :2000])
            assert source.name == name
    with open_source(path, columns=["g2000", "g7"]) as source:
        np.testing.assert_array_equal(joined(source, 7, "f8"), wide.toarray()[:, [2000, 7]])
        assert source.feature_names == ["g2000", "g7"]


def test_fits_to_sparse_data(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "gmm_fast.backends.memory.anonymous_bytes", lambda: 0
    )  # the suite may hold more
    X = dense_of(n=400)
    expected = GaussianMixture(2, random_state=0).fit(X)
    matrix = scipy.sparse.csr_array(X)
    path = h5ad(tmp_path / "x.h5ad", matrix)
    for data in (matrix, matrix.tocoo(), path):
        for memory in (None, "600MB"):
            model = GaussianMixture(2, random_state=0, memory=memory).fit(data)
            np.testing.assert_array_equal(model.means_, expected.means_)
        assert model.events_[0].endswith(f": {NOTE[0]}")
        np.testing.assert_array_equal(model.predict(data), expected.predict(X))
    told = run(f"fit --k 2 {path} -o {tmp_path / 'x.gmm.npz'}").stderr
    assert f"note: reading {path}: {NOTE[0]}\n" in told
    assert (
        f"note: reading {path}: {NOTE[0]}\n" in run(f"score {tmp_path / 'x.gmm.npz'} {path}").stderr
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"indices": np.array([0, 1, 5, 1])},
        {"indices": np.array([0, 1, -1, 1])},
        {"indptr": np.array([0, 2, 9])},
        {"indptr": np.array([3, 2, 4])},
        {"indptr": np.array([-1, 2, 4])},
        {"indptr": np.array([0, 4, 4])},
    ],
)
def test_damaged_matrices(tmp_path, changes):
    X = np.array([[1.0, 2.0, 0.0], [0.0, 3.0, 4.0]])
    path = h5ad(tmp_path / "x.h5ad", scipy.sparse.csr_array(X), **changes)
    with (
        open_source(path) as source,
        pytest.raises(DataError, match=r"x\.h5ad: rows 0 to 1 of the sparse matrix /X are damaged"),
    ):
        take(source, [0], "f8")
    matrix = scipy.sparse.csr_array(X)
    for name, values in changes.items():
        setattr(matrix, name, values)
    if list(matrix.indptr) != [0, 4, 4]:  # more values than columns: some are there twice
        with pytest.raises(DataError, match="X: is a damaged sparse matrix"):
            open_source(matrix)


def test_parts_that_do_not_fit_together(tmp_path):
    matrix = scipy.sparse.csr_array(np.eye(3))
    for changes in ({"data": np.ones(2)}, {"indptr": np.arange(3)}, {"indices": np.ones(3)}):
        with pytest.raises(DataError, match=r"/X is not a complete sparse matrix .*write the file"):
            open_source(h5ad(tmp_path / "x.h5ad", matrix, **changes))


class AnnData:
    """What is used of anndata's class; the package is at odds with others that tests need."""

    def __init__(self, X, filename=None):
        self.X, self.filename, self.isbacked = X, filename, filename is not None
        self.var_names = [f"g{j}" for j in range(5)]


def test_anndata(monkeypatch):
    monkeypatch.setitem(sys.modules, "anndata", types.SimpleNamespace(AnnData=AnnData))
    X = dense_of()
    for inside in (X, scipy.sparse.csr_matrix(X)):
        with open_source(AnnData(inside)) as source:
            assert source.feature_names == ["g0", "g1", "g2", "g3", "g4"]
            check_reads(source, X)
        with open_source(AnnData(inside), columns=["g3"]) as source:
            check_reads(source, X[:, [3]])
    with pytest.raises(DataError, match="give its path: x.h5ad"):
        open_source(AnnData(None, "x.h5ad"))
    with pytest.raises(DataError, match="has no X"):
        open_source(AnnData(None))
