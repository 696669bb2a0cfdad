"""Arrow tables in memory, and Arrow types as NumPy dtypes for every format that uses Arrow."""

import json
import re
from decimal import Decimal

import numpy as np
import pyarrow as pa

from ..errors import DataError
from .base import NoRowsError, Source, check_range
from .columns import choose, quote_list
from .stream import put_columns

# How pandas names an unnamed row index that it stores beside the columns.
_INDEX = re.compile(r"__index_level_\d+__")
# Up to this scale 10**scale is exact in float64, and so are integers below 2**53: their quotient
# is the nearest float64.
_EXACT_SCALE, _EXACT = 22, 2**53
# Rows of a table this close to each other are read with one call.
_GAP_ROWS = 1024


def choose_fields(schema, columns, name):
    """Return the positions of the wanted fields of an Arrow schema, all numeric, and notes.

    A pandas row index is left out unless it is asked for; `pandas.read_parquet` hides it, too.

    Raises
    ------
    DataError
        There is no such column, or it holds no real numbers.
    """
    try:
        names, notes = list(schema.names), ()
    except UnicodeDecodeError as error:
        raise DataError(
            f"{name}: is damaged: a column name is not UTF-8 ({error}); write it again"
        ) from error
    index = _index_fields(schema)
    if columns is not None:
        chosen = choose(columns, names, len(names), name)
    else:
        chosen = [i for i in range(len(names)) if i not in index]
        notes = _index_notes(schema, index)
    wrong = [schema.field(i) for i in chosen if not _is_numeric(schema.field(i).type)]
    if wrong:
        good = [f.name for i, f in enumerate(schema) if _is_numeric(f.type) and i not in index]
        raise DataError(_refusal(good, wrong, name))
    if not chosen:
        more = "; ".join(notes) or "at least one column is needed"
        raise DataError(f"{name}: has no columns; {more}")
    return chosen, notes


def _index_fields(schema):
    """The positions of the fields that hold the row index of a pandas frame."""
    try:
        stored = json.loads((schema.metadata or {}).get(b"pandas", b"{}"))["index_columns"]
        named = {level for level in stored if isinstance(level, str)}  # others are ranges
    except (ValueError, KeyError, TypeError):  # not from pandas, or damaged
        named = set()
    return {i for i, n in enumerate(schema.names) if n in named or _INDEX.fullmatch(n)}


def _index_notes(schema, index):
    if not index:
        return ()
    names = quote_list(schema.names[i] for i in sorted(index))
    return (f"the pandas row index, {names}, is left out; --columns (columns=) brings it back",)


def _is_numeric(kind):
    if pa.types.is_dictionary(kind):  # a pandas category
        kind = kind.value_type
    return (
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_decimal(kind)
    )


def _refusal(good, wrong, name):
    words = [f"{field.name!r} ({field.type})" for field in wrong[:5]]
    named = ", ".join(words)
    if len(wrong) > len(words):
        named += f" and {len(wrong) - len(words)} more"
    what = "column %s holds" if len(wrong) == 1 else "columns %s hold"
    advice = "convert them to numbers"
    if good:
        advice += f", or choose others with columns= (--columns); numeric are {quote_list(good)}"
    return f"{name}: {what % named} no real numbers; {advice}"


def numpy_dtype(kinds):
    """The common dtype of columns, given as pairs (Arrow type, whether values may be missing)."""
    dtypes = []
    for kind, missing in kinds:
        dtype = dtype_of(kind)
        # Only floating dtypes have NaN for missing values.
        dtypes.append(np.dtype("f8") if missing and dtype.kind != "f" else dtype)
    return np.result_type(*set(dtypes))


def dtype_of(kind):
    """The NumPy dtype of a numeric Arrow type.

    `to_pandas_dtype` (and `to_numpy` for values) would import pandas.
    """
    if pa.types.is_dictionary(kind):
        return dtype_of(kind.value_type)
    if pa.types.is_boolean(kind):
        return np.dtype(bool)
    if pa.types.is_decimal(kind):
        return np.dtype("f8")
    letter = "f" if pa.types.is_floating(kind) else "i" if pa.types.is_signed_integer(kind) else "u"
    return np.dtype(f"{letter}{kind.bit_width // 8}")


def misses_values(column):
    """Whether an Arrow column, chunked or not, has nulls; nulls in a dictionary count."""
    chunks = getattr(column, "chunks", [column])
    dictionaries = [c.dictionary for c in chunks if pa.types.is_dictionary(c.type)]
    return any(part.null_count for part in [*chunks, *dictionaries])


def values(array):
    """An Arrow array as a NumPy array, without a copy where possible; NaN for missing values."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if array.null_count == 0:
        return _plain(array)
    dtype = dtype_of(array.type)
    zero = pa.scalar(Decimal(0) if pa.types.is_decimal(array.type) else 0).cast(array.type)
    filled = _plain(array.fill_null(zero)).astype(dtype if dtype.kind == "f" else "f8")
    filled[~_plain(array.is_valid())] = np.nan
    return filled


def _plain(array):
    """The values of an array without nulls."""
    if pa.types.is_boolean(array.type):
        return _plain(array.cast(pa.uint8())).astype(bool)
    if pa.types.is_decimal(array.type):
        return _decimals(array)
    dtype = dtype_of(array.type)
    data = array.buffers()[1]
    if not len(array):
        return np.empty(0, dtype)
    return np.frombuffer(data, dtype, len(array), array.offset * dtype.itemsize)


def _decimals(array):
    """Decimals without nulls as the nearest float64; Arrow's cast may miss it by one bit."""
    kind = array.type
    found = _plain(array.cast(pa.float64()))
    if not 0 <= kind.scale <= _EXACT_SCALE or not pa.types.is_decimal128(kind):
        return found
    offset = 16 * array.offset
    halves = np.frombuffer(array.buffers()[1], "<i8", 2 * len(array), offset).reshape(-1, 2)
    low, high = halves[:, 0], halves[:, 1]
    exact = (high == low >> 63) & (low > -_EXACT) & (low < _EXACT)
    return np.where(exact, low / 10.0**kind.scale, found)


class ArrowSource(Source):
    """A table stored by columns in memory; rows are assembled as they are read.

    Parameters
    ----------
    table : pyarrow.Table, or anything that `pyarrow.table` takes without a copy
    name : str
    columns : list of str or int, optional
    """

    _max_gap = _GAP_ROWS

    def __init__(self, table, name="X", *, columns=None):
        table = pa.table(table)
        chosen, self.notes = choose_fields(table.schema, columns, name)
        self.table = table.select(chosen)
        self.name = name
        self.n_samples, self.n_features = self.table.num_rows, len(chosen)
        if self.n_samples < 1:
            raise NoRowsError(f"{name}: has no rows; at least one row is needed")
        self.feature_names = list(self.table.schema.names)
        self.dtype = numpy_dtype((c.type, misses_values(c)) for c in self.table.columns)

    def read(self, start, stop, out, *, origin=None):
        check_range(self, start, stop, out)
        row = start
        for batch in self.table.slice(start, stop - start).to_batches():
            last = row + batch.num_rows
            part = out[row - start : last - start]
            columns = [values(column) for column in batch.columns]
            put_columns(columns, self.dtype, part, origin, self.name, range(row, last))
            row = last
