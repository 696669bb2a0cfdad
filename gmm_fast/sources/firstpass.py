"""What only a full pass over a text can show: ambiguous decimal signs, columns that count rows."""

import re

import numpy as np

from .dialect import BLANKS

# From so many rows on, a column that counts them does not do so by chance.
_COUNTED_ROWS = 10


class DecimalWatch:
    """Looks for numbers that tell a decimal sign from a thousands separator.

    Parameters
    ----------
    sign, delimiter : str

    Attributes
    ----------
    clear : bool
        Some number can only be read with a decimal sign.
    doubtful : str or None
        The first number that can be read either way.
    """

    def __init__(self, sign, delimiter):
        self._sign = sign.encode()
        point = re.escape(self._sign)
        edge = rb'\s"' + (b"" if delimiter == BLANKS else re.escape(delimiter.encode()))
        start, end = rb"(?<![^%s])" % edge, rb"(?![^%s])" % edge
        grouped = rb"[+-]?[1-9]\d{0,2}%s\d{3}" % point + end
        self._grouped = re.compile(start + grouped)
        self._plain = re.compile(
            start + rb"(?!%s)[+-]?(?=%s?\d)\d*%s\d*([eE][+-]?\d+)?" % (grouped, point, point) + end
        )
        self.clear, self.doubtful = False, None

    def __call__(self, content):
        """Examine whole lines, bytes, and return them."""
        if not self.clear and self._sign in content:
            self.clear = self._plain.search(content) is not None
            found = None if self.doubtful else self._grouped.search(content)
            if found:
                self.doubtful = found[0].decode()
        return content


class RowCounters:
    """Looks for columns that count the rows: integers in steps of one.

    Parameters
    ----------
    n_columns : int
    """

    def __init__(self, n_columns):
        self._rows, self._last = 0, [None] * n_columns
        self._open = list(range(n_columns))

    def look(self, block):
        """Examine the next rows, given as a list of columns."""
        self._rows += len(block[0])
        for j in list(self._open):
            x, last = block[j], self._last[j]
            first = x[0] // 1 if last is None else last + 1
            if x.dtype != bool and x[0] == first and np.all(x[1:] - x[:-1] == 1):
                self._last[j] = x[-1]
            else:
                self._open.remove(j)

    def found(self):
        """The numbers of such columns; empty if all columns are, or there are few rows."""
        some = self._rows >= _COUNTED_ROWS and len(self._open) < len(self._last)
        return self._open if some else []
