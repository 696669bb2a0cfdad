"""Write output files so that they appear whole or not at all.

Each is written under a temporary name in the target's folder and renamed at the end.
"""

import hashlib
import os
import re
import secrets
import stat
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar

import numpy as np
from numpy.lib import format as npy_format

from ..errors import DataError, FitError

# Targets that must not be replaced.
_exclusive = ContextVar("exclusive", default=frozenset())
# A temporary name repeats at most so many characters of the file's name.
MOST_BASE = 32


def check_writable(path):
    """Check before long work that `path` can be written after it.

    Parameters
    ----------
    path : str, bytes or os.PathLike

    Raises
    ------
    DataError
        The folder is missing or not writable, or `path` exists and is not a writable regular
        file.
    """
    name, target = _target(path)
    folder = os.path.dirname(target)
    if not os.path.isdir(folder):
        raise DataError(f"{name}: there is no folder {folder}; create it first")
    try:
        with suppress(FileNotFoundError):
            os.lstat(target)
    except OSError as error:  # a name that is too long
        raise DataError(f"{name}: cannot be written: {error.strerror}") from error
    if os.path.islink(target):  # other links have been resolved
        raise DataError(f"{name}: is a symbolic link in a loop; give another path")
    if os.path.isdir(target):
        raise DataError(f"{name}: is a directory; give the path of a file in it")
    if os.path.exists(target):
        # Renaming onto /dev/null or a pipe would replace it with a file.
        if not os.path.isfile(target):
            raise DataError(f"{name}: is not a regular file; give another path")
        if not os.access(target, os.W_OK):
            raise DataError(f"{name}: the file exists and is not writable; give another path")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise DataError(f"{name}: folder {folder} is not writable; give another path")


def check_outputs(outputs, inputs, *, replace=True):
    """Check that files can be written, and that none would overwrite an input or another output.

    Parameters
    ----------
    outputs : dict of str -> str, os.PathLike or None
        Paths by option, for messages; None if nothing is to be written.
    inputs : sequence of str, os.PathLike or None
    replace : bool
        Whether existing files may be replaced.

    Returns
    -------
    list of str
        The outputs that exist, each as an option and a path.

    Raises
    ------
    DataError
        As `check_writable`; also for two names of one file, or a file that must not be replaced.
    """
    there = []
    taken = {os.path.realpath(path): "input" for path in inputs if path is not None}
    for option, path in outputs.items():
        if path is None:
            continue
        if os.fspath(path) == "":
            raise DataError(f"{option} is empty; give the path of a file")
        real = os.path.realpath(path)
        if real in taken:
            raise DataError(
                f"{option} {path}: would overwrite the {taken[real]} file of the same name; "
                "give another path"
            )
        taken[real] = option
        check_writable(path)
        if os.path.lexists(path):
            there.append(f"{option} {os.fspath(path)}")
            if not replace:
                raise DataError(
                    f"{there[-1]}: exists already, and --no-clobber says not to replace it; give "
                    "another path"
                )
    return there


@contextmanager
def forbid_replacing(paths):
    """Context in which `atomic_write` replaces none of these files, even ones that appear later."""
    token = _exclusive.set(frozenset(os.path.realpath(path) for path in paths))
    try:
        yield
    finally:
        _exclusive.reset(token)


@contextmanager
def atomic_write(path):
    """Open `path` for binary writing; it appears (or changes) only when the block succeeds.

    A new file gets the permissions that ``open`` would give it; an existing one keeps its own. A
    symbolic link stays, and its target is replaced.

    Parameters
    ----------
    path : str, bytes or os.PathLike

    Yields
    ------
    binary file object

    Raises
    ------
    DataError
        As `check_writable`.
    FitError
        Writing fails (a full disk), here or in the block; or a file exists that `forbid_replacing`
        protects: then the new one is kept beside it.
    """
    check_writable(path)
    name, target = _target(path)
    folder, base = os.path.split(target)
    temporary = os.path.join(folder, f".{_short(base)}.{secrets.token_hex(6)}.tmp")
    try:
        # Not tempfile: others could not read its files, whatever the umask.
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if target in _exclusive.get():
            _put_new(temporary, target, name)
            return
        with suppress(FileNotFoundError):
            os.chmod(temporary, stat.S_IMODE(os.stat(target).st_mode))
        os.replace(temporary, target)
    except OSError as error:
        raise FitError(f"{name}: could not be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            os.unlink(temporary)


def _put_new(temporary, target, name):
    """Rename a file to `target`; if that exists by now, to a new name, and raise `FitError`."""
    try:
        try:
            os.link(temporary, target)
        except FileExistsError:
            raise
        except OSError:  # a file system without links: reserve the name, then replace the file
            os.close(os.open(target, os.O_CREAT | os.O_EXCL))
            os.replace(temporary, target)
    except FileExistsError:
        stem, ending = os.path.splitext(target)
        other = f"{stem}.{secrets.token_hex(3)}{ending}"
        os.replace(temporary, other)
        raise FitError(
            f"{name}: was written by another program during the work, and --no-clobber says not to "
            f"replace it; the output is in {other}"
        ) from None


def remove_leftovers(path):
    """Remove temporary files that killed writers of `path` left; nobody may be writing it now."""
    folder, base = os.path.split(_target(path)[1])
    name = re.compile(re.escape(f".{_short(base)}.") + r"[0-9a-f]{12}\.tmp")
    with suppress(OSError):
        for found in filter(name.fullmatch, os.listdir(folder)):
            os.unlink(os.path.join(folder, found))


def _short(base):
    """The part of a temporary name that identifies its file."""
    if len(base) <= MOST_BASE:
        return base
    digest = hashlib.sha256(os.fsencode(base)).hexdigest()[:8]
    return f"{base[: MOST_BASE - len(digest) - 1]}-{digest}"


class NpyWriter:
    """Write a C-order ``.npy`` file of known shape, block of rows by block of rows.

    A context manager; the file appears on leaving it, if every row was written.

    Parameters
    ----------
    path : str, bytes or os.PathLike
    shape : tuple of int
        Of the whole array; at least one dimension.
    dtype : dtype
        Any that needs no pickling.

    Raises
    ------
    DataError
        On entering, as `check_writable`.
    FitError
        Writing fails, or the number of rows written is not ``shape[0]``.
    """

    def __init__(self, path, shape, dtype):
        self.path = path
        self.shape = tuple(int(length) for length in shape)
        self.dtype = np.dtype(dtype)
        if not self.shape or self.dtype.hasobject:
            raise ValueError(f"cannot write shape {self.shape}, dtype {self.dtype} by rows")
        self._rows = 0

    def __enter__(self):
        header = {
            "descr": npy_format.dtype_to_descr(self.dtype),
            "fortran_order": False,
            "shape": self.shape,
        }
        with ExitStack() as stack:
            self._file = stack.enter_context(atomic_write(self.path))
            npy_format.write_array_header_1_0(self._file, header)
            self._stack = stack.pop_all()
        return self

    def write(self, block):
        """Append `block`, shape (m, *shape[1:]), of a dtype of the same kind."""
        block = np.asarray(block)
        if block.shape[1:] != self.shape[1:] or block.ndim != len(self.shape):
            raise ValueError(f"block of shape {block.shape} for an array of shape {self.shape}")
        self._rows += len(block)
        if self._rows > self.shape[0]:
            raise self._wrong_count()
        block = block.astype(self.dtype, order="C", casting="same_kind", copy=False)
        self._file.write(block.reshape(-1).view(np.uint8))

    def __exit__(self, kind, error, trace):
        if error is None and self._rows != self.shape[0]:
            error = self._wrong_count()
            self._stack.__exit__(type(error), error, None)
            raise error
        return self._stack.__exit__(kind, error, trace)

    def _wrong_count(self):
        return FitError(
            f"{os.fsdecode(self.path)}: {self._rows} rows written of {self.shape[0]} announced; "
            "the file was not stored"
        )


def save_npy(path, array):
    """Write `array` (not 0-D) as a C-order ``.npy`` file; raises as `NpyWriter`."""
    array = np.asarray(array)
    with NpyWriter(path, array.shape, array.dtype) as writer:
        writer.write(array)


def _target(path):
    """Return the name for messages, and the absolute path with symbolic links resolved.

    Raises
    ------
    DataError
        No file can have such a name.
    """
    name = os.fsdecode(path)
    try:
        return name, os.path.realpath(name)
    except ValueError as error:  # a NUL byte
        raise DataError(f"{name!r}: cannot be written: {error}; check the path") from None
