"""Parse prepared text with Arrow's CSV reader."""

import pyarrow as pa
import pyarrow.csv as pc

from .dialect import BLANKS, MISSING
from .layout import BOOLEANS

_BLOCK_BYTES = 256 << 10


def open_reader(stream, layout, dialect, columns, kind=None):
    """Arrow's reader of the rows in a stream of UTF-8.

    Parameters
    ----------
    stream : file object
    layout : Layout
    dialect : Dialect
    columns : list of int
    kind : pyarrow.DataType, optional
        Of all cells; by default numbers and booleans, or text that is still to be converted.
    """
    # Names of our own, as those of the file may be missing or occur twice.
    names = [str(j) for j in range(layout.n_columns)]
    number = pa.float64() if dialect.thousands is None and not layout.padded else pa.string()
    types = {names[j]: number for j in columns}
    if not layout.padded:
        types |= {names[j]: pa.bool_() for j in columns if j in layout.booleans}
    if kind is not None:
        types = {names[j]: kind for j in columns}
    elif layout.empty_last and layout.n_columns - 1 not in columns:
        types[names[-1]] = pa.null()  # raises if a cell is not empty
    missing = {*MISSING, *dialect.na}
    return pc.open_csv(
        stream,
        read_options=pc.ReadOptions(
            use_threads=False,  # with threads, messages do not tell the row
            block_size=block_bytes(layout),
            column_names=names,
        ),
        parse_options=pc.ParseOptions(
            delimiter="\t" if layout.delimiter == BLANKS else layout.delimiter,
            newlines_in_values=layout.newlines,
            ignore_empty_lines=layout.n_columns > 1,  # in one column, a missing value
        ),
        convert_options=pc.ConvertOptions(
            check_utf8=False,
            column_types=types,
            include_columns=list(types),
            null_values=sorted(missing | {f" {token}" for token in missing}),
            strings_can_be_null=kind is None,
            true_values=[word for word, value in BOOLEANS.items() if value],
            false_values=[word for word, value in BOOLEANS.items() if not value],
            decimal_point=layout.decimal,
        ),
    )


def block_bytes(layout):
    """Bytes of a block, which must hold a whole row."""
    return max(_BLOCK_BYTES, 16 * layout.line_bytes, layout.row_bytes)
