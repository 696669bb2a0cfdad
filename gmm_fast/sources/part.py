"""A range of rows of a source, as a source."""

from .array import ArraySource
from .base import Source, check_range


class RowRange(Source):
    """Rows ``start:stop`` of a source; closing the range leaves the source open.

    Parameters
    ----------
    source : Source
    start, stop : int
    """

    def __init__(self, source, start, stop):
        self.source = source
        self.start = start
        self.name = source.name
        self.n_samples = stop - start
        self.n_features = source.n_features
        self.dtype = source.dtype
        self.feature_names = source.feature_names
        self.notes = source.notes
        self.concurrent = source.concurrent

    def read(self, start, stop, out, *, origin=None):
        check_range(self, start, stop, out)
        self.source.read(self.start + start, self.start + stop, out, origin=origin)

    def view(self, start, stop, dtype):
        return self.source.view(self.start + start, self.start + stop, dtype)

    def gather(self, indices, out, *, origin=None):
        self.source.gather(indices + self.start, out, origin=origin)

    def check_unchanged(self, start=0, stop=None):
        stop = self.n_samples if stop is None else stop
        self.source.check_unchanged(self.start + start, self.start + stop)

    @property
    def decoded(self):
        return self.source.decoded

    def locate(self, row):
        return self.source.locate(self.start + row)


class ArrayPart(ArraySource):
    """An array that holds the rows from ``first`` on of larger data.

    Parameters
    ----------
    array, name
        As for `ArraySource`.
    first : int
    """

    def __init__(self, array, name, first):
        super().__init__(array, name)
        self.first = first

    def locate(self, row):
        return self.name, self.first + row
