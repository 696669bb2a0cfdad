"""Columns of text that are passed on: whether all cells are numbers, and their values."""

import re

import pyarrow as pa

# What the cells of a column are; the kind of a whole is the largest kind of its parts.
EMPTY, INTEGERS, FLOATS, TEXT = range(4)
# Neither 007 nor +49 30, which are names, nor more digits than fit int64.
_INTEGER = r"^-?(0|[1-9]\d{0,17})$"


class Cells:
    """How numbers are written in a text.

    Parameters
    ----------
    decimal : str
    thousands : str or None
    missing : iterable of str
        Cells that stand for a missing value.
    """

    def __init__(self, decimal, thousands, missing):
        self._decimal, self._thousands = decimal, thousands
        self._missing = pa.array(sorted(missing), pa.string())
        point, part = re.escape(decimal), re.escape(thousands or "")
        power = r"[eE][+-]?\d+"
        self._float = rf"^-?(0|[1-9]\d*)?({point}\d+({power})?|\d{power}|\d{point})$"
        self._grouped = rf"^-?\d{{1,3}}({part}\d{{3}})+({point}\d*)?$"

    def kind(self, cells):
        """The kind of cells: `EMPTY`, `INTEGERS`, `FLOATS` or `TEXT`."""
        from pyarrow import compute  # megabytes that few tables need

        cells = self._plain(cells).drop_null()
        if not len(cells):
            return EMPTY
        whole = compute.match_substring_regex(cells, _INTEGER)
        if compute.all(whole).as_py():
            return INTEGERS
        good = compute.or_(whole, compute.match_substring_regex(cells, self._float))
        return FLOATS if compute.all(good).as_py() else TEXT

    def read(self, cells, kind):
        """The values of cells, null where one is missing; text stays as it is."""
        if kind in (EMPTY, TEXT):
            return cells
        from pyarrow import compute

        cells = compute.replace_substring(self._plain(cells), self._decimal, ".")
        return cells.cast(pa.int64() if kind == INTEGERS else pa.float64())

    def _plain(self, cells):
        """Cells without surrounding blanks and thousands separators; null where one is missing."""
        from pyarrow import compute

        cells = compute.utf8_trim_whitespace(cells)
        gone = compute.is_in(cells, value_set=self._missing)
        cells = compute.if_else(gone, pa.scalar(None, pa.string()), cells)
        if self._thousands is None:
            return cells
        whole = compute.replace_substring(cells, self._thousands, "")
        return compute.if_else(compute.match_substring_regex(cells, self._grouped), whole, cells)
