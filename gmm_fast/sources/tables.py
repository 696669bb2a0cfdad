"""Open tables in memory that are not arrays: Arrow, polars, AnnData."""

import sys

from ..errors import DataError
from .array import ArraySource, as_array
from .columns import choose, pick
from .paths import require_package
from .sparse import SparseSource, is_sparse


def open_table(data, columns):
    """Open an Arrow table, a polars frame or the X of AnnData; None for anything else.

    Imports none of these packages to find out.
    """
    polars = sys.modules.get("polars")
    if polars is not None and isinstance(data, polars.LazyFrame):
        raise DataError("X: a LazyFrame holds no data yet; collect() it first")
    if polars is not None and isinstance(data, polars.DataFrame):
        return _open_polars(data, columns)
    anndata = sys.modules.get("anndata")
    if anndata is not None and isinstance(data, anndata.AnnData):
        return _open_anndata(data, columns)
    arrow = sys.modules.get("pyarrow")
    if arrow is None:
        return None
    if isinstance(data, (arrow.Table, arrow.RecordBatch)):
        from .arrow import ArrowSource

        return ArrowSource(data, columns=columns)
    dataset = sys.modules.get("pyarrow.dataset")
    if dataset is not None and isinstance(data, dataset.Dataset):
        raise DataError(
            "X: a pyarrow Dataset cannot be read piece by piece; give the path of its folder, or "
            "a table: X.to_table()"
        )
    return None


def _open_polars(frame, columns):
    try:
        with require_package("X: reading polars frames", "pyarrow", "parquet"):
            from .arrow import ArrowSource
    except DataError:  # without pyarrow, as an array: a copy
        names = list(frame.columns)
        if columns is not None:
            frame = frame[:, choose(columns, names, len(names), "X")]
        source = ArraySource(frame.to_numpy())
        source.feature_names = list(frame.columns)
        return source
    return ArrowSource(frame, columns=columns)


def _open_anndata(data, columns):
    if data.isbacked:
        raise DataError(f"X: this AnnData reads from a file; give its path: {data.filename}")
    names = [str(name) for name in data.var_names]
    if data.X is None:
        raise DataError(
            "X: this AnnData has no X; give one of its arrays, e.g. adata.obsm['X_pca']"
        )
    if is_sparse(data.X):
        return SparseSource(data.X, columns=columns, names=names)
    source = ArraySource(as_array(data.X))
    source.feature_names = names
    return pick(source, columns)
