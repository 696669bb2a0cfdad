"""Choose columns, by name or by number."""

import difflib
import operator

import numpy as np

from ..errors import DataError
from .base import check_range, convert, piece_rows
from .wrapped import WrappedSource

# Columns named in one message; a table may have thousands of them.
_MAX_NAMED = 10


class NoColumnError(DataError):
    """There is no column of that name."""


def quote_list(words):
    """At most ten words, quoted, for a message."""
    words = list(words)
    text = ", ".join(repr(w) for w in words[:_MAX_NAMED])
    if len(words) > _MAX_NAMED:
        text += f" and {len(words) - _MAX_NAMED} more"
    return text


def choose(columns, names, n_features, source_name):
    """Return the numbers of the wanted columns, in the order asked for.

    Parameters
    ----------
    columns : str, int, or sequence of them
        Names, or numbers from 0 on. Where both fit, the name wins.
    names : sequence of str or None
        Names of all columns of the data.
    n_features : int
        Number of all columns.
    source_name : str
        For messages.

    Raises
    ------
    DataError
        There is no such column, several have that name, or one is asked for twice.
    """
    wanted = [columns] if isinstance(columns, (str, int, np.integer)) else list(columns)
    if not wanted:
        raise DataError(f"{source_name}: columns is empty; name at least one column")
    chosen = [_choose_one(w, names, n_features, source_name) for w in wanted]
    for i, column in enumerate(chosen):
        if column in chosen[:i]:
            raise DataError(
                f"{source_name}: column {wanted[i]!r} is asked for twice; name each column once"
            )
    return chosen


def _choose_one(wanted, names, n_features, source_name):
    if isinstance(wanted, str) and names is not None and wanted in names:
        if names.count(wanted) > 1:
            raise DataError(
                f"{source_name}: {names.count(wanted)} columns are named {wanted!r}; choose by "
                f"number (counting from 0): {_places(wanted, names)}"
            )
        return names.index(wanted)
    number = _as_number(wanted)
    if number is None:
        raise NoColumnError(f"{source_name}: has no column {wanted!r}; {_advice(wanted, names)}")
    if not 0 <= number < n_features:
        raise DataError(
            f"{source_name}: has no column {number}; it has {n_features}, counted from 0"
            + ("" if names is None else f": {quote_list(names)}")
        )
    return number


def quote_csv(name):
    """A name as a quoted CSV cell."""
    return '"' + name.replace('"', '""') + '"'


def _places(wanted, names):
    return ", ".join(str(i) for i, name in enumerate(names) if name == wanted)


def _as_number(wanted):
    if isinstance(wanted, str):
        return int(wanted) if wanted.isascii() and wanted.isdigit() else None
    try:
        return operator.index(wanted)
    except TypeError:
        return None


def _advice(wanted, names):
    if names is None:
        return "its columns have no names; choose by number, counting from 0"
    near = difflib.get_close_matches(str(wanted), names, 1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    if near and "," in near[0]:
        hint += f"quote it: --columns '{quote_csv(near[0])}'; "
    return f"{hint}it has {quote_list(names)}"


def pick(source, columns):
    """`source` with the chosen columns only, in that order."""
    if columns is None:
        return source
    names = source.feature_names
    return ColumnsSource(source, choose(columns, names, source.n_features, source.name))


class ColumnsSource(WrappedSource):
    """Some columns of a source that can only read whole rows.

    Parameters
    ----------
    source : Source
    columns : list of int
    """

    def __init__(self, source, columns):
        super().__init__(source)
        self.columns, self.n_features = columns, len(columns)
        transforms = [source.transforms[j] for j in columns] if source.transforms else [None]
        self.transforms = transforms if any(transforms) else None
        names = source.feature_names
        self.feature_names = None if names is None else [names[j] for j in columns]

    def read(self, start, stop, out, *, origin=None):
        check_range(self, start, stop, out)
        # In the stored dtype: columns that are not chosen may not fit the wanted one.
        dtype = self.dtype.newbyteorder("=")
        step = piece_rows(self.source)
        for first in range(start, stop, step):
            last = min(first + step, stop)
            rows = np.empty((last - first, self.source.n_features), dtype)
            self.source.read(first, last, rows)
            part = out[first - start : last - start]
            convert(rows[:, self.columns], part, origin, self.name, range(first, last))

    def gather(self, indices, out, *, origin=None):
        dtype = self.dtype.newbyteorder("=")
        step = piece_rows(self.source)
        for first in range(0, len(indices), step):
            part = indices[first : first + step]
            rows = np.empty((len(part), self.source.n_features), dtype)
            self.source.gather(part, rows)
            convert(rows[:, self.columns], out[first : first + step], origin, self.name, part)
