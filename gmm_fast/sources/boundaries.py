"""Rows at which reading can begin without decoding what lies before; row 0 always is one."""

import numpy as np


class Listed:
    """Boundaries given as a list of rows.

    Parameters
    ----------
    rows : sequence of int
        Increasing, starting with 0.
    """

    def __init__(self, rows=(0,)):
        self._rows = np.asarray(rows, np.int64)

    def before(self, row):
        """The last boundary at or before `row`."""
        return int(self._rows[np.searchsorted(self._rows, row, side="right") - 1])

    def after(self, row):
        """The first boundary at or after `row`; None if there is none."""
        i = int(np.searchsorted(self._rows, row))
        return int(self._rows[i]) if i < len(self._rows) else None


class Even:
    """A boundary every `step` rows; not listed, as a file of a kilobyte may announce 10^12.

    Parameters
    ----------
    step, n_samples : int
    """

    def __init__(self, step, n_samples):
        self._step, self._n_samples = step, n_samples

    def before(self, row):
        """As of `Listed`."""
        return row - row % self._step

    def after(self, row):
        """As of `Listed`."""
        found = row + -row % self._step
        return found if found < self._n_samples else None


class Joined:
    """The boundaries of several files, one after the other.

    Parameters
    ----------
    starts : (m + 1,) int64 array
        First row of each file, and the end of the last one.
    parts : list of m boundaries
    """

    def __init__(self, starts, parts):
        self._starts, self._parts = starts, parts

    def before(self, row):
        """As of `Listed`."""
        i, first = self._file_of(row)
        return first + self._parts[i].before(row - first)

    def after(self, row):
        """As of `Listed`."""
        i, first = self._file_of(row)
        found = self._parts[i].after(row - first)
        if found is not None:
            return first + found
        return int(self._starts[i + 1]) if i + 1 < len(self._parts) else None

    def _file_of(self, row):
        i = int(np.searchsorted(self._starts, row, side="right")) - 1
        return i, int(self._starts[i])


class Thinned:
    """The boundaries of a source with some rows left out.

    Parameters
    ----------
    boundaries : Listed, Even or Joined
    dropped : (m,) int64 array
        Rows that are left out, increasing.
    n_samples : int
        Rows of the source.
    """

    def __init__(self, boundaries, dropped, n_samples):
        self._boundaries, self._dropped = boundaries, dropped
        self._kept_before = dropped - np.arange(len(dropped))
        self._n_samples = n_samples - len(dropped)

    def before(self, row):
        """As of `Listed`."""
        return self._kept(self._boundaries.before(self._place(row)))

    def after(self, row):
        """As of `Listed`."""
        found = self._boundaries.after(self._place(row))
        if found is None or self._kept(found) >= self._n_samples:
            return None
        return self._kept(found)

    def _place(self, row):
        """Where a row is in the source."""
        return row + int(np.searchsorted(self._kept_before, row, side="right"))

    def _kept(self, place):
        """How many rows are kept before a row of the source."""
        return place - int(np.searchsorted(self._dropped, place))
