"""Parse the header of a ``.npy`` file without trusting it.

NumPy's own reader allocates as many bytes as the header claims to have, and passes on warnings of
Python's parser.
"""

import ast
import math
import re
import struct

from numpy.lib import format as npy_format

# Struct code of the header's length, and its encoding, by version of the format.
VERSIONS = {(1, 0): ("<H", "latin-1"), (2, 0): ("<I", "latin-1"), (3, 0): ("<I", "utf-8")}
# NumPy has the same limit.
MOST_BYTES = 10_000
_FIELDS = {"descr", "fortran_order", "shape"}
# Python 2 wrote (3L, 4L).
_LONG = re.compile(r"(?<=[0-9])L(?=\s*[,)])")
_STRING = re.compile(r"'[^']*'|\"[^\"]*\"")
# `1if` and the like, about which Python warns.
_RUN_ON = re.compile(r"[0-9.][A-Za-z_]")


def parse(file, version):
    """Shape, Fortran flag and dtype; moves `file` from the end of the magic to the data.

    Parameters
    ----------
    file : binary file object
    version : tuple of int
        A key of `VERSIONS`.

    Raises
    ------
    Exception
        Of any kind, if the header is not valid.
    """
    code, encoding = VERSIONS[version]
    (length,) = struct.unpack(code, _take(file, struct.calcsize(code)))
    if length > MOST_BYTES:
        raise ValueError(f"it is {length} bytes long")
    text = _take(file, length).decode(encoding)
    if "\\" in text:  # no numeric dtype has one, and a wrong escape would cause a warning
        raise ValueError("it holds a backslash")
    if version < (3, 0):
        text = _LONG.sub("", text)
    if _RUN_ON.search(_STRING.sub("", text)):
        raise ValueError("a number in it runs into a name")
    fields = ast.literal_eval(text)
    if not isinstance(fields, dict) or set(fields) != _FIELDS:
        raise ValueError(f"it needs the fields {', '.join(sorted(_FIELDS))} and no others")
    shape, fortran = fields["shape"], fields["fortran_order"]
    if not isinstance(shape, tuple) or not all(type(n) is int for n in shape):
        raise ValueError(f"{str(shape)[:40]} is not a shape")
    if not isinstance(fortran, bool):
        raise ValueError("fortran_order is neither True nor False")
    return shape, fortran, npy_format.descr_to_dtype(fields["descr"])


def n_bytes(shape, dtype):
    """Bytes of data that a header announces."""
    return math.prod(shape) * dtype.itemsize


def _take(file, size):
    found = file.read(size)
    if len(found) < size:
        raise ValueError("the file is cut short")
    return found
