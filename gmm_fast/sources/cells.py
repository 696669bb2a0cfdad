"""Cells of a text that are passed on: whether all of a column are numbers, and which."""

import re

import pyarrow as pa

# What the cells of a column are; of several parts the greatest of these.
EMPTY, INTEGERS, FLOATS, TEXT = range(4)
# Not 007 nor +49 30, which are names, nor what int64 has no room for.
_INTEGER = r"^-?(0|[1-9]\d{0,17})$"


class Cells:
    """How numbers are written in a text.

    Parameters
    ----------
    decimal : str
    thousands : str or None
    missing : iterable of str
        What means a missing value.
    """

    def __init__(self, decimal, thousands, missing):
        self._decimal, self._thousands = decimal, thousands
        self._missing = pa.array(sorted(missing), pa.string())
        point, part = re.escape(decimal), re.escape(thousands or "")
        power = r"[eE][+-]?\d+"
        self._float = rf"^-?(0|[1-9]\d*)?({point}\d+({power})?|\d{power}|\d{point})$"
        self._grouped = rf"^-?\d{{1,3}}({part}\d{{3}})+({point}\d*)?$"

    def kind(self, cells):
        """What they are, of `EMPTY`, `INTEGERS`, `FLOATS` and `TEXT`."""
        from pyarrow import compute  # megabytes, which few tables need

        cells = self._plain(cells).drop_null()
        if not len(cells):
            return EMPTY
        whole = compute.match_substring_regex(cells, _INTEGER)
        if compute.all(whole).as_py():
            return INTEGERS
        good = compute.or_(whole, compute.match_substring_regex(cells, self._float))
        return FLOATS if compute.all(good).as_py() else TEXT

    def read(self, cells, kind):
        """The numbers that they are, null where one is missing; text as it is."""
        if kind in (EMPTY, TEXT):
            return cells
        from pyarrow import compute

        cells = compute.replace_substring(self._plain(cells), self._decimal, ".")
        return cells.cast(pa.int64() if kind == INTEGERS else pa.float64())

    def _plain(self, cells):
        """Without blanks around and signs of thousands; null where a value is missing."""
        from pyarrow import compute

        cells = compute.utf8_trim_whitespace(cells)
        gone = compute.is_in(cells, value_set=self._missing)
        cells = compute.if_else(gone, pa.scalar(None, pa.string()), cells)
        if self._thousands is None:
            return cells
        whole = compute.replace_substring(cells, self._thousands, "")
        return compute.if_else(compute.match_substring_regex(cells, self._grouped), whole, cells)
