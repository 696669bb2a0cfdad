"""Files of ours: a `.npz` of arrays with a JSON header, versioned, digested, written atomically."""

import hashlib
import io
import json
import os
import zipfile
from dataclasses import dataclass

import numpy as np
from numpy.lib import format as npy_format

from ..errors import DataError
from ..sources import npyheader
from .outputs import atomic_write


@dataclass(frozen=True)
class Kind:
    """A kind of file, and how messages speak of it.

    Attributes
    ----------
    format : str
        What its header says it is: "gmm-fast " and `noun`.
    version : int
    noun : str
    file : str
        The noun for such a file.
    error : type
        Of `DataError`, raised when a file cannot be read.
    needed : str
        What to give instead of a path that names no such file.
    order : str
        What to do with data in its place.
    again : str
        What to do when a file is of no use.
    complete : callable
        Whether a header holds what it must.
    names : tuple of str, optional
        The arrays in it; any by default.
    """

    format: str
    version: int
    noun: str
    file: str
    error: type
    needed: str
    order: str
    again: str
    complete: object
    names: tuple | None = None


def write_archive(path, kind, header, arrays):
    """Write a file.

    Parameters
    ----------
    path : str or path
    kind : Kind
    header : dict
        JSON values.
    arrays : dict of str -> ndarray
    """
    header = {"format": kind.format, "version": kind.version, **header}
    if more := sorted(set(arrays) - set(kind.names or arrays)):
        header["more"] = more
    arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    header["sha256"] = _digest(header, arrays, kind)
    text = np.frombuffer(json.dumps(header).encode(), np.uint8)
    with atomic_write(path) as file:
        np.savez(file, header=text, **arrays)


def read_archive(path, kind):
    """Read a file.

    Returns
    -------
    header : dict
        As it was given to `write_archive`, with "format" and "version".
    arrays : dict of str -> ndarray

    Raises
    ------
    kind.error
        No file, another one, one of another version, damaged or changed by hand.
    """
    content = _content(path, kind)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            _check_sizes(archive, len(content))
            header = json.loads(_array(archive, "header").tobytes())
            _check_header(path, kind, header)
            names = _names(kind, header, _arrays_in(archive) - {"header"})
            arrays = {name: _array(archive, name) for name in names}
    except DataError:
        raise
    except Exception:  # whatever zip, .npy and JSON parsers make of foreign bytes
        raise kind.error(f"{path}: not a gmm-fast {kind.file}, or a damaged one") from None
    if header.pop("sha256", None) != _digest(header, arrays, kind):
        raise kind.error(
            f"{path}: the {kind.noun} was damaged or changed after it was written; {kind.again}, "
            "or take a copy that is whole"
        )
    return header, arrays


def _names(kind, header, arrays):
    """Names of the arrays of a file, in the order in which they are digested."""
    if kind.names is None:
        return sorted(arrays)
    return (*kind.names, *header.get("more", ()))  # of models, what few families need


def _check_sizes(archive, n_bytes):
    """Raise ValueError for an archive whose members take more than the `n_bytes` of the file.

    We compress nothing, so it is none of ours, and might fill the memory.
    """
    members = archive.infolist()
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise ValueError("compressed")
    if sum(member.file_size for member in members) > n_bytes:
        raise ValueError("members overlap")


def _arrays_in(archive):
    return {name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")}


def _array(archive, name):
    """An array of numbers. Not by `numpy.load`, which makes room for what a header announces."""
    content = archive.read(f"{name}.npy")
    file = io.BytesIO(content)
    head = file.read(npy_format.MAGIC_LEN)
    if not head.startswith(npy_format.MAGIC_PREFIX):
        raise ValueError("not a .npy file")
    shape, fortran, dtype = npyheader.parse(file, tuple(head[-2:]))
    if dtype.kind not in "biuf" or npyheader.n_bytes(shape, dtype) != len(content) - file.tell():
        raise ValueError("not the numbers that the header announces")
    values = np.frombuffer(content, dtype, offset=file.tell())
    return values.reshape(shape, order="F" if fortran else "C").copy(order="C")


def _content(path, kind):
    """The bytes of a file that may be an archive; others are refused before they are read whole."""
    if not os.path.exists(path):
        raise kind.error(f"{path}: no such file; check the path")
    if not os.path.isfile(path):
        raise kind.error(f"{path}: is not a file; {kind.needed}")
    try:
        with open(path, "rb") as file:
            head = file.read(len(npy_format.MAGIC_PREFIX))
            if head == npy_format.MAGIC_PREFIX:
                raise kind.error(f"{path}: holds data (.npy), not a {kind.noun}; {kind.order}")
            if not head.startswith(b"PK"):
                raise kind.error(f"{path}: not a gmm-fast {kind.file}")
            return head + file.read()
    except OSError as error:
        raise kind.error(f"{path}: cannot be read: {error.strerror}") from None


def _check_header(path, kind, header):
    found = header.get("format") if isinstance(header, dict) else None
    if found != kind.format:
        other = found.removeprefix("gmm-fast ") if isinstance(found, str) else ""
        if other in ("model", "checkpoint"):
            raise kind.error(f"{path}: is a {other}, not a {kind.noun}; {kind.needed}")
        raise kind.error(f"{path}: not a gmm-fast {kind.file}")
    if header.get("version") != kind.version:
        raise kind.error(
            f"{path}: a {kind.file} of version {header.get('version')}; this gmm-fast reads "
            f"version {kind.version}; {kind.again}, or use the gmm-fast that wrote it"
        )
    if not kind.complete(header):
        raise kind.error(f"{path}: the {kind.noun}'s header is not complete")


def _digest(header, arrays, kind):
    """SHA-256 of everything in the file, header first, arrays with dtypes and shapes."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in _names(kind, header, arrays):
        array = np.asarray(arrays[name], order="C")
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
