"""Dask arrays and data frames, computed one block at a time."""

import sys
from itertools import pairwise

import numpy as np

from ..errors import DataError, FitError
from .array import check_frame
from .base import check_dtype, check_shape
from .boundaries import Listed
from .columns import choose
from .stream import StreamSource


def is_dask(data):
    """Whether `data` is a Dask array or data frame; imports nothing to find out."""
    if not hasattr(data, "__dask_graph__"):
        return False
    return hasattr(data, "chunks") or hasattr(data, "to_dask_array")


class DaskSource(StreamSource):
    """A Dask array or data frame; one block of rows is in memory at a time.

    Blocks are computed by the workers of a ``distributed.Client`` if there is one, as they may
    hold the data already; otherwise by the threads of this process.

    Parameters
    ----------
    data : dask.array.Array or dask.dataframe.DataFrame
    columns : list of str or int, optional
    one_feature : bool
        Take a 1-D array as one column.
    """

    def __init__(self, data, name="X", *, columns=None, one_feature=False):
        super().__init__()
        self.name = name
        if not hasattr(data, "chunks"):
            data = self._from_frame(data, columns)
            columns = None
        check_dtype(np.dtype(data.dtype), name)
        if data.ndim and any(np.isnan(size) for size in data.chunks[0]):
            data = data.compute_chunk_sizes()
        shape = check_shape(data.shape, name, one_feature)
        data = data.reshape(-1, 1) if data.ndim == 1 else data
        if columns is not None:
            chosen = choose(columns, None, shape[1], name)
            data = data[:, chosen]
        self.data = data
        self.n_samples, self.n_features = data.shape
        self.dtype = np.dtype(data.dtype)
        sizes = [size for size in data.chunks[0] if size]
        self._edges = np.cumsum([0, *sizes]).tolist()
        self.boundaries = Listed(self._edges[:-1])

    def _from_frame(self, frame, columns):
        if not hasattr(frame, "columns"):  # a series
            return frame.to_dask_array(lengths=True)
        names = list(frame.columns)
        if columns is not None:
            words = [str(n) for n in names]
            names = [names[j] for j in choose(columns, words, len(names), self.name)]
            frame = frame[names]
        check_frame(frame)
        if all(isinstance(n, str) for n in names):
            self.feature_names = names
        array = frame.to_dask_array(lengths=True)
        return array.astype("f8") if array.dtype.hasobject else array

    def _blocks(self, row):
        which = self._edges.index(self.boundaries.before(row))
        for first, end in pairwise(self._edges[which:]):
            block = self._compute(first, end)
            if block.shape != (end - first, self.n_features):
                raise DataError(
                    f"{self.name}: rows {first}:{end} have shape {block.shape} when computed; the "
                    "array must match its chunks"
                )
            yield first, block

    def _compute(self, first, end):
        scheduler = None if _has_client() else "threads"
        try:
            return np.asarray(self.data[first:end].compute(scheduler=scheduler))
        except MemoryError:
            raise
        except Exception as error:  # anything that functions of the graph raise
            raise FitError(
                f"{self.name}: computing rows {first}:{end} failed: {type(error).__name__}: {error}"
            ) from error


def _has_client():
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return False
    try:
        distributed.default_client()
    except ValueError:
        return False
    return True
