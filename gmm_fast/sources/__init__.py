"""Open data (an array or a ``.npy`` file) and yield it in chunks.

A *source* knows its name, shape and stored dtype and can fill a buffer with any range of rows.
`chunks`, `load_resident`, `take` and `first_bad_row` are written against that, and work for
every source. A new data format is one file here, with one subclass of `Source` that has a
``read`` method, and one line in `open_source`.

`base` the interface, checks and conversion; `array` and `npy` a format each; `reading` what is
done with a source.
"""

import os

from .array import ArraySource, as_array
from .base import Source
from .npy import NpySource
from .reading import (
    bad_value_error,
    check_columns,
    chunks,
    first_bad_row,
    load_resident,
    take,
)

__all__ = [
    "ArraySource",
    "NpySource",
    "Source",
    "bad_value_error",
    "check_columns",
    "chunks",
    "first_bad_row",
    "load_resident",
    "open_source",
    "take",
]


def open_source(data, *, one_feature=False):
    """Open `data` for reading by chunks.

    Parameters
    ----------
    data : Source, path or array-like
        A `Source` is returned as it is. A str, bytes or `os.PathLike` names a ``.npy`` file.
        Anything else (a pandas DataFrame, too) goes through `numpy.asarray`, which copies
        neither arrays nor memory maps.
    one_feature : bool
        Take 1-D data as one column instead of refusing it.

    Returns
    -------
    Source

    Raises
    ------
    DataError
        If the data is not a non-empty table of real numbers; the message names the file (or
        ``X``) and says what to do.
    """
    if isinstance(data, Source):
        return data
    if isinstance(data, (str, bytes, os.PathLike)):
        return NpySource(data, one_feature=one_feature)
    return ArraySource(as_array(data), one_feature=one_feature)
