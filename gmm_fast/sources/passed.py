"""What only a pass over all rows of a text tells of how it is to be read."""

import re

import numpy as np

from .dialect import BLANKS

# Rows from which on counting them is no chance.
_COUNTED_ROWS = 10


class DecimalWatch:
    """Looks for numbers that tell a decimal sign from one of thousands.

    Parameters
    ----------
    sign, delimiter : str

    Attributes
    ----------
    clear : bool
        A number was seen in which the sign cannot part thousands.
    doubtful : str or None
        The first number in which it can.
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
        """Look at whole lines, bytes, and return them."""
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
        """Look at the next rows, a list of columns."""
        self._rows += len(block[0])
        for j in list(self._open):
            x, last = block[j], self._last[j]
            first = x[0] // 1 if last is None else last + 1
            if x.dtype != bool and x[0] == first and np.all(x[1:] - x[:-1] == 1):
                self._last[j] = x[-1]
            else:
                self._open.remove(j)

    def found(self):
        """The numbers of such columns; none where there are no others, or few rows."""
        some = self._rows >= _COUNTED_ROWS and len(self._open) < len(self._last)
        return self._open if some else []
