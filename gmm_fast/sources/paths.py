"""Open paths: find the format by the file's ending; folders, patterns and ``file:name``."""

import atexit
import fnmatch
import glob
import os
import re
import shutil
import sys
import tempfile
from contextlib import contextmanager, suppress

from ..errors import DataError, FitError
from .base import NoRowsError, NotTextError
from .columns import pick
from .dialect import Dialect
from .files import FilesSource
from .npy import NpySource, open_regular
from .npz import open_npz

# Families of formats and their endings; the files of a folder must be of one family.
_FAMILIES = {
    "npy": (".npy",),
    "npz": (".npz",),
    "parquet": (".parquet", ".pq"),
    "text": (".csv", ".tsv", ".tab", ".txt", ".dat", ".data"),
    "hdf5": (".h5", ".hdf5", ".hdf", ".h5ad"),
    "arrow": (".arrow", ".feather", ".ipc"),
    "fcs": (".fcs", ".lmd"),
    "zarr": (".zarr", ".zarr.zip"),
}
# Formats that are not supported, and what to do with them.
_ADVICE = {
    (".xlsx", ".xls", ".xlsm", ".xlsb", ".ods"): "is a spreadsheet; export the sheet to CSV",
    (".mat",): "is a MATLAB file; export it to CSV there, writematrix(X, 'X.csv'), or in Python: "
    "numpy.save('X.npy', scipy.io.loadmat(path)['X'])",
    (".rds", ".rda", ".rdata"): "is an R file; export it to CSV there, write.csv(X, 'X.csv', "
    "row.names = FALSE)",
    (
        ".pkl",
        ".pickle",
    ): "is a pickle, and loading it could run any code; save the data with numpy.save or "
    "to_parquet",
}
KNOWN = ", ".join(end for ends in _FAMILIES.values() for end in ends)
# Endings of compressed text.
_PACKED = (".gz", ".bz2", ".xz", ".zst")
# May be any text: in a folder, these files are read only if there are no other data files.
_PLAIN = (".txt", ".dat", ".data")
# The values of `format` and their families.
_FORMATS = {family: family for family in _FAMILIES} | {"csv": "text", "tsv": "text"}
# Standard input.
STDIN = "-"
# Default outputs of our commands: not data, though they may lie beside it.
_OWN = (".gmm.npz", ".labels.npy", ".proba.npy")
# A folder named as if it were such a file is a folder of parts, as Spark writes.
_FOLDER_FAMILIES = ("parquet", "text", None)
# `file:name`: only after the ending of a format for several arrays, so never a drive letter.
_INNER = re.compile(
    r"(.+\.(?:npz|h5|hdf5|hdf|h5ad|fcs|lmd|zarr|zarr\.zip)):(.*)", re.IGNORECASE | re.DOTALL
)
_NPY = b"\x93NUMPY"
_DIGITS = re.compile(r"(\d+)")


def family_of(path, format=None):
    """The family of formats of a name, or None; the family of `format` if that is given.

    Raises
    ------
    DataError
        There is no such format.
    """
    if format is not None:
        if format not in _FORMATS:
            raise DataError(f"format {format!r} is not known; known are {', '.join(_FORMATS)}")
        return _FORMATS[format]
    lower = os.path.basename(path).lower()
    for family, ends in _FAMILIES.items():
        if lower.endswith(ends) or (family == "text" and _unpacked(lower).endswith(ends)):
            return family
    return None


def _unpacked(name):
    """A name without the ending of a compression."""
    end = next((end for end in _PACKED if name.lower().endswith(end)), "")
    return name[: len(name) - len(end)]


def _is_plain(path):
    return _unpacked(path).lower().endswith(_PLAIN)


@contextmanager
def require_package(what, package, extra):
    """Say how to install `package` if an import in the block fails for lack of it."""
    try:
        yield
    except ImportError as error:
        if error.name is None or error.name.split(".")[0] != package:
            raise
        raise DataError(f"{what} needs {package}: pip install 'gmm-fast[{extra}]'") from error


def open_path(path, *, one_feature=False, columns=None, dialect=None, keep_bytes=0):
    """Open the data that a path names; see `open_source`."""
    dialect = dialect or Dialect()
    options = {"one_feature": one_feature, "columns": columns, "dialect": dialect}
    name = os.fsdecode(path)
    if name == STDIN:
        return _open_stdin(options, keep_bytes)
    base, inner = split_inner(name)
    if _exists(base):
        if os.path.isdir(base) and family_of(base) in _FOLDER_FAMILIES:
            return _open_files(name, _walk(base), inner, options, keep_bytes)
    elif glob.has_magic(base):
        return _open_files(name, _matches(base), inner, options, keep_bytes)
    return _open_file(base, inner, options, keep_bytes)


def _open_stdin(options, keep_bytes):
    """Standard input, as text; copied to a file, as it is read several times."""
    dialect = options["dialect"]
    if family_of("", dialect.format or "text") != "text":
        raise DataError(f"{STDIN}: standard input is read as text; write a {dialect.format} file")
    with require_package("reading text", "pyarrow", "parquet"):
        from .text import TextSource
    number, path = tempfile.mkstemp(prefix="gmm-fast-", suffix=".txt")
    atexit.register(_remove, path)
    try:
        with open(number, "wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
    except OSError as error:
        raise FitError(f"standard input: cannot be copied to {path}: {error}") from error
    more = {"columns": options["columns"], "dialect": dialect, "keep_bytes": keep_bytes}
    return TextSource(path, name="standard input", **more)


def _remove(path):
    with suppress(OSError):
        os.unlink(path)


def split_inner(name):
    """Split ``file:name`` into its parts; the second is None if there is none."""
    found = None if _exists(name) else _INNER.fullmatch(name)
    return (found[1], found[2]) if found else (name, None)


def stem_of(data):
    """A name for outputs that belong to a path: its last part without the format's ending."""
    if os.fsdecode(data) == STDIN:
        return "stdin"
    base, _ = split_inner(os.fsdecode(data))
    if not _exists(base):
        while glob.has_magic(os.path.basename(base)):
            base = os.path.dirname(base)
    name = os.path.basename(os.path.abspath(base)) if base else ""
    name = _unpacked(name) if family_of(name) == "text" else name
    for end in sorted(sum(_FAMILIES.values(), ()), key=len, reverse=True):
        if name.lower().endswith(end) and len(name) > len(end):
            return name[: -len(end)]
    return os.path.splitext(name)[0] or "data"


def _exists(path):
    try:
        return os.path.exists(path)
    except ValueError:  # a NUL byte; opening says so
        return False


def _open_file(path, inner, options, keep_bytes=0):
    dialect, columns = options["dialect"], options["columns"]
    family = family_of(path, dialect.format)
    if family == "text" and dialect.format is None and _is_plain(path) and _is_npy(path):
        family = None
    if family != "text" and (given := dialect.text_only()):
        raise NotTextError(f"{path}: is not text; {given[0]} (--{given[0]}) is for text only")
    if family == "parquet":
        with require_package(f"{path}: reading Parquet", "pyarrow", "parquet"):
            from .parquet import ParquetSource

        return ParquetSource(path, columns=columns)
    if family == "text":
        with require_package(f"{path}: reading CSV and TSV", "pyarrow", "parquet"):
            from .text import TextSource

        return TextSource(path, columns=columns, dialect=dialect, keep_bytes=keep_bytes)
    if family == "npz":
        return pick(open_npz(path, inner, one_feature=options["one_feature"]), columns)
    if family == "hdf5":
        with require_package(f"{path}: reading HDF5", "h5py", "hdf5"):
            from .hdf5 import open_hdf5

        return open_hdf5(path, inner, one_feature=options["one_feature"], columns=columns)
    if family == "arrow":
        with require_package(f"{path}: reading Arrow files", "pyarrow", "parquet"):
            from .ipc import IpcSource

        return IpcSource(path, columns=columns)
    if family == "fcs":
        with require_package(f"{path}: reading FCS", "flowio", "fcs"):
            from .fcs import FcsSource

        return FcsSource(path, inner, columns=columns)
    if family == "zarr":
        with require_package(f"{path}: reading Zarr", "zarr", "zarr"):
            from .zarr import ZarrSource

        return ZarrSource(path, inner, columns=columns, one_feature=options["one_feature"])
    if family is None:
        _check_is_npy(path)
    return pick(NpySource(path, one_feature=options["one_feature"]), columns)


def _check_is_npy(path):
    """Raise `DataError` for a file of unknown ending that is not a ``.npy`` file."""
    with open_regular(path, path) as file:
        head = file.read(6)
    if head and not head.startswith(_NPY):
        for endings, advice in _ADVICE.items():
            if path.lower().endswith(endings):
                raise DataError(f"{path}: {advice}")
        raise DataError(
            f"{path}: the ending is not that of a known format ({KNOWN}); name the format with "
            "format= (--format), e.g. csv"
        )


def _is_npy(path):
    with suppress(OSError, ValueError), open(path, "rb") as file:
        return file.read(6) == _NPY
    return False


def _open_files(name, paths, inner, options, keep_bytes):
    """One source of all files among `paths` that have a known format."""
    first, known, plain = None, set(), set()
    format = options["dialect"].format
    for path in paths:  # fails at the first that differs: there may be very many
        family = family_of(path, format)
        if family is None or path.endswith(_OWN):
            continue
        if format is None and _is_plain(path):
            plain.add(path)
            continue
        first = first or path
        if family != family_of(first, format):
            ending = os.path.splitext(path)[1]
            raise DataError(
                f"{name}: holds files of several formats, e.g. {first} and {path}; choose one "
                f"with a pattern, e.g. '{os.path.join(os.path.dirname(path), '*' + ending)}'"
            )
        known.add(path)
    known = known or plain
    if not known:
        raise DataError(f"{name}: holds no data files; known are {KNOWN}")
    paths = sorted(known, key=_natural)
    return FilesSource(name, _parts(paths, inner, options, keep_bytes))


def _parts(paths, inner, options, keep_bytes):
    empty, any_rows = None, False
    for path in paths:
        try:
            part = _open_file(path, inner, options, keep_bytes)
        except NoRowsError as error:
            empty = empty or error
            continue
        any_rows = True
        keep_bytes -= part.held_bytes
        yield part
    if not any_rows:
        raise empty


def _matches(pattern):
    found = glob.glob(pattern, recursive=True)
    if not found:
        raise DataError(f"{pattern}: no file matches; check the pattern, or the path")
    for path in found:
        if _is_hidden(os.path.basename(path.rstrip(os.sep))):
            continue
        if os.path.isdir(path) and family_of(path) in _FOLDER_FAMILIES:
            yield from _walk(path)
        else:
            yield path


def _walk(folder):
    if os.path.dirname(os.path.abspath(folder)) == os.path.abspath(folder):
        raise DataError(f"{folder}: is the root directory; name the directory of the data")

    def fail(error):
        raise DataError(f"{error.filename}: cannot be listed: {error.strerror}") from error

    seen = set()
    for place, folders, files in os.walk(folder, onerror=fail, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:  # a link to a folder that was visited
            folders[:] = []
            continue
        seen.add(real)
        folders[:] = [f for f in folders if not _is_hidden(f)]
        for whole in [f for f in folders if family_of(f) == "zarr"]:  # a Zarr array is a folder
            folders.remove(whole)
            yield os.path.join(place, whole)
        yield from (os.path.join(place, f) for f in files if not _is_hidden(f))


def would_read(data, path, format=None):
    """Whether `data`, a folder or pattern, would read a file at `path`.

    Parameters
    ----------
    data, path : str or os.PathLike
    format : str, optional
        The format that was given for the files.
    """
    base, _ = split_inner(os.fsdecode(data))
    name, parts = os.path.basename(os.fsdecode(path)), _parts_of(path)
    if family_of(name, format) is None or name.endswith(_OWN) or _is_hidden(name):
        return False
    if os.path.isdir(base):
        above = _parts_of(base)
        return family_of(base) in _FOLDER_FAMILIES and above == parts[:-1][: len(above)]
    return not _exists(base) and glob.has_magic(base) and _fits(_parts_of(base), parts)


def _parts_of(path):
    """The folders and the name of a path, with links resolved."""
    return os.path.realpath(path).split(os.sep)


def _fits(pattern, parts):
    """Whether a pattern matches a path or a folder above it."""
    if not pattern:
        return True
    if pattern[0] == "**":
        return any(_fits(pattern[1:], parts[i:]) for i in range(len(parts) + 1))
    return bool(parts) and fnmatch.fnmatch(parts[0], pattern[0]) and _fits(pattern[1:], parts[1:])


def _is_hidden(name):
    """Whether a name is private to the writers of data sets (`_SUCCESS`, `.crc`)."""
    return name.startswith((".", "_"))


def _natural(path):
    """A key that sorts part-2 before part-10."""
    key = [
        [int(t) if i % 2 else t for i, t in enumerate(_DIGITS.split(part))]
        for part in path.split(os.sep)
    ]
    return key, path
