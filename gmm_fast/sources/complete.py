"""Leave out rows with missing values."""

import numpy as np

from ..errors import DataError
from .base import check_range, piece_rows
from .boundaries import Thinned
from .reading import chunks
from .wrapped import WrappedSource


class CompleteSource(WrappedSource):
    """A source without some of its rows.

    Parameters
    ----------
    source : Source
    dropped : (m,) int64 array
        Rows to leave out, increasing; not all rows.
    """

    def __init__(self, source, dropped):
        super().__init__(source)
        self.dropped = dropped
        # How many rows are kept before each dropped row.
        self._kept_before = dropped - np.arange(len(dropped))
        self.n_samples = source.n_samples - len(dropped)
        self.held_bytes = source.held_bytes + dropped.nbytes
        if source.boundaries is not None:
            self.boundaries = Thinned(source.boundaries, dropped, source.n_samples)

    @property
    def notes(self):
        n, of = len(self.dropped), self.source.n_samples
        return *self.source.notes, f"{n:,} of {of:,} rows miss a value and were left out"

    def _places(self, rows):
        """Row numbers in the source."""
        return rows + np.searchsorted(self._kept_before, rows, side="right")

    def read(self, start, stop, out, *, origin=None):
        check_range(self, start, stop, out)
        at, end = int(self._places(start)), int(self._places(stop - 1)) + 1
        done = 0
        while at < end:
            last = min(end, at + piece_rows(self.source, out.itemsize))
            gone = self.dropped[slice(*np.searchsorted(self.dropped, [at, last]))] - at
            n = last - at - len(gone)
            part = out[done : done + n]
            if not len(gone):
                self.source.read(at, last, part, origin=origin)
            else:
                piece = np.empty((last - at, self.n_features), out.dtype)
                self.source.read(at, last, piece, origin=origin)
                part[:] = np.delete(piece, gone, axis=0)
            at, done = last, done + n

    def gather(self, indices, out, *, origin=None):
        self.source.gather(self._places(np.asarray(indices)), out, origin=origin)

    def check_unchanged(self, start=0, stop=None):
        self.source.check_unchanged()

    def locate(self, row):
        return self.source.locate(int(self._places(row)))


def drop_missing(source):
    """`source` without the rows that hold a NaN; `source` itself if there are none."""
    dropped = getattr(source, "missing_rows", None)
    if dropped is None:
        dropped = _missing_rows(source)
    if len(dropped) == source.n_samples:
        raise DataError(
            f"{source.name}: every row misses a value; choose columns without gaps (--columns)"
        )
    return CompleteSource(source, dropped) if len(dropped) else source


def count_all_rows(source):
    """How many rows the data has, including those that were left out."""
    return source.n_samples + len(source.dropped)


def select_kept(source, values):
    """Take one value per row of the data; return those of the rows that were not left out.

    Anything else is returned unchanged.
    """
    n = count_all_rows(source)
    if n == source.n_samples:
        return values
    try:
        array = np.asarray(values)
    except ValueError:  # lists of different lengths
        return values
    return np.delete(array, source.dropped, axis=0) if array.shape[:1] == (n,) else values


def fill_dropped(blocks, source, fill):
    """Yield blocks of values of the rows, with `fill` inserted for rows that were left out.

    Parameters
    ----------
    blocks : iterable of ndarray
        Values of all rows of `source`, in order.
    source : Source
    fill : number
    """
    dropped = source.dropped
    done = begun = 0  # kept rows, filled gaps
    before = dropped - np.arange(len(dropped))
    for block in blocks:
        done += len(block)
        # gaps after the last row come with it
        end = len(dropped) if done == source.n_samples else np.searchsorted(before, done)
        places = before[begun:end] - (done - len(block))
        yield np.insert(block, places, fill, axis=0) if len(places) else block
        begun = end


def _missing_rows(source):
    if source.dtype.kind != "f":
        return np.zeros(0, np.int64)
    found, start = [np.zeros(0, np.int64)], 0
    for chunk in chunks(source, piece_rows(source), source.dtype.newbyteorder("=")):
        found.append(start + np.flatnonzero(np.isnan(chunk).any(axis=1)))
        start += len(chunk)
    return np.concatenate(found)
