"""Arrow tables in memory, and what Arrow's types mean for every format that goes through it."""

import re

import numpy as np
import pyarrow as pa

from ..errors import DataError
from .base import NoRowsError, Source, check_range
from .columns import choose, listed
from .stream import put_columns

# A row index that pandas stores beside the columns; `pandas.read_parquet` hides it, too.
_INDEX = re.compile(r"__index_level_\d+__")
# Rows of a table this near to each other are read with one call.
_GAP_ROWS = 1024


def choose_fields(schema, columns, name):
    """Return the numbers of the wanted fields of an Arrow schema, all of them numeric.

    Raises
    ------
    DataError
        No such column, or one that holds no real numbers.
    """
    names = list(schema.names)
    if columns is not None:
        chosen = choose(columns, names, len(names), name)
    else:
        chosen = [i for i, n in enumerate(names) if not _INDEX.fullmatch(n)]
    wrong = [schema.field(i) for i in chosen if not _is_numeric(schema.field(i).type)]
    if wrong:
        raise DataError(_refusal(schema, wrong, name))
    if not chosen:
        raise DataError(f"{name}: has no columns; at least one column is needed")
    return chosen


def _is_numeric(kind):
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)


def _refusal(schema, wrong, name):
    words = [f"{field.name!r} ({field.type})" for field in wrong[:5]]
    named = ", ".join(words)
    if len(wrong) > len(words):
        named += f" and {len(wrong) - len(words)} more"
    what = "column %s holds" if len(wrong) == 1 else "columns %s hold"
    good = [f.name for f in schema if _is_numeric(f.type) and not _INDEX.fullmatch(f.name)]
    decimal = any(pa.types.is_decimal(field.type) for field in wrong)
    advice = "convert decimals to double" if decimal else "convert to numbers"
    if good:
        advice += f", or choose others with columns= (--columns); numeric are {listed(good)}"
    return f"{name}: {what % named} no real numbers; {advice}"


def numpy_dtype(kinds):
    """The common dtype of columns: pairs of an Arrow type and whether values may be missing."""
    dtypes = []
    for kind, missing in kinds:
        dtype = dtype_of(kind)
        # Only floating dtypes have a NaN for what is missing.
        dtypes.append(np.dtype("f8") if missing and dtype.kind != "f" else dtype)
    return np.result_type(*set(dtypes))


def dtype_of(kind):
    """The NumPy dtype of a numeric Arrow type.

    Not by `to_pandas_dtype`, nor are values got by `to_numpy`: both import pandas.
    """
    if pa.types.is_boolean(kind):
        return np.dtype(bool)
    letter = "f" if pa.types.is_floating(kind) else "i" if pa.types.is_signed_integer(kind) else "u"
    return np.dtype(f"{letter}{kind.bit_width // 8}")


def values(array):
    """An Arrow array as a NumPy one, without a copy where possible; NaN for what is missing."""
    if array.null_count == 0:
        return _plain(array)
    dtype = dtype_of(array.type)
    zero = pa.scalar(0).cast(array.type)
    filled = _plain(array.fill_null(zero)).astype(dtype if dtype.kind == "f" else "f8")
    filled[~_plain(array.is_valid())] = np.nan
    return filled


def _plain(array):
    """The values of an array without nulls."""
    if pa.types.is_boolean(array.type):
        return _plain(array.cast(pa.uint8())).astype(bool)
    dtype = dtype_of(array.type)
    data = array.buffers()[1]
    if not len(array):
        return np.empty(0, dtype)
    return np.frombuffer(data, dtype, len(array), array.offset * dtype.itemsize)


class ArrowSource(Source):
    """A table whose columns lie in memory one by one; rows are put together as they are read.

    Parameters
    ----------
    table : pyarrow.Table, or what `pyarrow.table` takes without a copy
    name : str
    columns : list of str or int, optional
    """

    _max_gap = _GAP_ROWS

    def __init__(self, table, name="X", *, columns=None):
        table = pa.table(table)
        chosen = choose_fields(table.schema, columns, name)
        self.table = table.select(chosen)
        self.name = name
        self.n_samples, self.n_features = self.table.num_rows, len(chosen)
        if self.n_samples < 1:
            raise NoRowsError(f"{name}: has no rows; at least one row is needed")
        self.feature_names = list(self.table.schema.names)
        self.dtype = numpy_dtype((c.type, c.null_count > 0) for c in self.table.columns)

    def read(self, start, stop, out, *, origin=None):
        check_range(self, start, stop, out)
        row = start
        for batch in self.table.slice(start, stop - start).to_batches():
            last = row + batch.num_rows
            part = out[row - start : last - start]
            columns = [values(column) for column in batch.columns]
            put_columns(columns, self.dtype, part, origin, self.name, range(row, last))
            row = last
