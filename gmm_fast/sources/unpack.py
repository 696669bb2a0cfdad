"""Open files as streams of bytes, decompressed while they are read: gzip, bzip2, xz, zstd."""

import lzma
import os
import zlib

import pyarrow as pa

from ..errors import DataError, FitError

# Endings of compressed files, and the name of the compression.
PACKINGS = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz", ".zst": "zstd"}
# What the readers raise on a damaged file; Arrow raises an OSError without a number.
_DAMAGE = (OSError, EOFError, lzma.LZMAError, zlib.error, pa.ArrowInvalid)


def packing_of(path):
    """The compression that a name announces, or None."""
    lower = path.lower()
    return next((p for end, p in PACKINGS.items() if lower.endswith(end)), None)


def without_packing(path):
    """The name without the ending of a compression."""
    end = next((end for end in PACKINGS if path.lower().endswith(end)), "")
    return path[: len(path) - len(end)]


def open_stream(path):
    """A `pyarrow.NativeFile` of the decompressed content of a file."""
    packing = packing_of(path)
    if packing == "xz":  # unknown to Arrow
        return pa.PythonFile(lzma.open(path), mode="r")
    return pa.input_stream(path, compression=packing)


def read_start(path, name, n_bytes):
    """The first bytes; more than `n_bytes` if the first line is longer.

    Raises
    ------
    DataError, FitError
        As `stream_error`.
    """
    try:
        with open_stream(path) as stream:
            head = stream.read(n_bytes)
            if len(head) == n_bytes:  # read on to the end of the first line
                while not (b"\n" in head or b"\r" in head) and len(head) < 1 << 27:
                    more = stream.read(len(head))
                    if not more:
                        break
                    head += more
            return head
    except _DAMAGE as error:
        raise stream_error(path, name, error) from error


def read_end(path, n_bytes):
    """The last bytes of a file; None if it is compressed."""
    if packing_of(path) is not None:
        return None
    with open(path, "rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - n_bytes))
        return file.read()


def stream_error(path, name, error):
    """The error of this package for an error of a stream."""
    packing = packing_of(path)
    if getattr(error, "errno", None) or packing is None:
        return FitError(f"{name}: reading failed: {error}")
    end = next(end for end, p in PACKINGS.items() if p == packing)
    return DataError(
        f"{name}: is not a complete {packing} file ({error}); write or copy it again, or remove "
        f"{end} from its name if it is plain text"
    )
