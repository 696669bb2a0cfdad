"""Many files as one source."""

import copy
import threading
from collections import Counter

import numpy as np

from ..errors import DataError
from .base import Source, check_range
from .boundaries import Even, Joined
from .forks import remake_after_fork

# Files that stay open after a read: one for the reader ahead, one for reads that go back.
_MAX_OPEN = 2
# At most so many different notes are passed on.
_MAX_NOTES = 5


class FilesSource(Source):
    """The rows of several sources, one after the other.

    Parameters
    ----------
    name : str
    parts : iterable of Source
        With the same columns; each is told to `rest` at once.

    Raises
    ------
    DataError
        The columns differ in number or name.
    """

    def __init__(self, name, parts):
        self.name = name
        self.parts = []
        for part in parts:
            part.rest()
            if self.parts:
                _check_same(self.parts[0], part)
            self.parts.append(part)
        first = self.parts[0]
        self.starts = np.cumsum([0, *(p.n_samples for p in self.parts)], dtype=np.int64)
        self.n_samples, self.n_features = int(self.starts[-1]), first.n_features
        self.feature_names = first.feature_names
        self.dtype = np.result_type(*{part.dtype for part in self.parts})
        self.boundaries = self._boundaries()
        self._reset()

    @property
    def held_bytes(self):
        return sum(part.held_bytes for part in self.parts)

    @property
    def notes(self):
        """The notes of the files; what several say is listed once, with a count."""
        counts = Counter(note for part in self.parts for note in part.notes)
        notes = [
            note + (f" ({times:,} of {len(self.parts):,} files)" if times > 1 else "")
            for note, times in counts.items()
        ]
        if len(notes) > _MAX_NOTES:
            more = f"and {len(notes) - _MAX_NOTES} more such notes on its files"
            notes[_MAX_NOTES:] = [more]
        return tuple(notes)

    @property
    def reading_bytes(self):
        return sum(sorted(part.reading_bytes for part in self.parts)[-_MAX_OPEN:])

    @property
    def reading_advice(self):
        return max(self.parts, key=lambda part: part.reading_bytes).reading_advice

    @property
    def decoded(self):
        return any(part.decoded for part in self.parts)

    def _boundaries(self):
        if all(part.boundaries is None for part in self.parts):
            return None
        each = [part.boundaries or Even(part.n_samples, part.n_samples) for part in self.parts]
        return Joined(self.starts, each)

    def _reset(self):
        self._lock = threading.Lock()
        self._open = []  # numbers of the parts read last
        remake_after_fork(self)

    def after_fork(self):
        self._lock = threading.Lock()

    def __getstate__(self):
        return {k: v for k, v in self.__dict__.items() if k not in ("_lock", "_open")}

    def __setstate__(self, state):
        self.__dict__.update(state)
        self._reset()

    def read(self, start, stop, out, *, origin=None):
        check_range(self, start, stop, out)
        with self._lock:
            row = start
            while row < stop:
                i = self._part_of(row)
                first, end = int(self.starts[i]), int(self.starts[i + 1])
                last = min(stop, end)
                part = out[row - start : last - start]
                self._use(i).read(row - first, last - first, part, origin=origin)
                row = last

    def gather(self, indices, out, *, origin=None):
        done = 0
        with self._lock:
            while done < len(indices):
                i = self._part_of(indices[done])
                first, end = int(self.starts[i]), int(self.starts[i + 1])
                stop = int(np.searchsorted(indices, end))
                self._use(i).gather(indices[done:stop] - first, out[done:stop], origin=origin)
                done = stop

    def _part_of(self, row):
        return int(np.searchsorted(self.starts, row, side="right")) - 1

    def _use(self, i):
        """Part `i`; those that were used longest ago are put to rest."""
        if i in self._open:
            self._open.remove(i)
        self._open.append(i)
        while len(self._open) > _MAX_OPEN:
            self.parts[self._open.pop(0)].rest()
        return self.parts[i]

    def twin(self):
        twins = [part.twin() for part in self.parts]
        if None in twins:
            return None
        other = copy.copy(self)
        other.parts = twins
        return other

    def check_unchanged(self, start=0, stop=None):
        last = self._part_of((self.n_samples if stop is None else stop) - 1)
        for part in self.parts[self._part_of(start) : last + 1]:
            part.check_unchanged()

    def locate(self, row):
        i = self._part_of(row)
        return self.parts[i].locate(int(row - self.starts[i]))

    def rest(self):
        with self._lock:
            for i in self._open:
                self.parts[i].rest()
            self._open.clear()

    def close(self):
        for part in self.parts:
            part.close()


def _check_same(first, other):
    """Raise `DataError`, naming both files, unless they have the same columns."""
    if first.n_features != other.n_features:
        raise DataError(
            f"{other.name}: has {other.n_features} columns, but {first.name} has "
            f"{first.n_features}; all files need the same columns"
        )
    names, others = first.feature_names, other.feature_names
    if names == others:
        return
    if names is None or others is None:
        named, plain = (first, other) if others is None else (other, first)
        raise DataError(
            f"{plain.name}: its columns have no names, but those of {named.name} do; give all "
            "files a header, or none"
        )
    j = next(j for j in range(len(names)) if names[j] != others[j])
    raise DataError(
        f"{other.name}: column {j} is {others[j]!r}, but in {first.name} it is {names[j]!r}; all "
        "files need the same columns in the same order"
    )
