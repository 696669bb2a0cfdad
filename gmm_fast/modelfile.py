"""Model files: a `.npz` of the parameters and a JSON header, versioned, written atomically."""

import hashlib
import io
import json
import os

import numpy as np
from numpy.lib import format as npy_format

from .errors import DataError, ModelFileError
from .families import FAMILIES
from .outputs import atomic_write
from .params import Params, check_params

FORMAT = "gmm-fast model"
VERSION = 1
_ARRAYS = ("weights", "means", "covariances")


def write_model(path, params, facts):
    """Write a model.

    Parameters
    ----------
    path : str or path
    params : Params
    facts : dict
        JSON values about the fit, given back by `read_model`.
    """
    arrays = {name: np.ascontiguousarray(getattr(params, name)) for name in _ARRAYS}
    header = {
        "format": FORMAT,
        "version": VERSION,
        "covariance_type": params.covariance_type,
        "facts": facts,
    }
    header["sha256"] = _digest(header, arrays)
    text = np.frombuffer(json.dumps(header).encode(), np.uint8)
    with atomic_write(path) as file:
        np.savez(file, header=text, **arrays)


def read_model(path):
    """Read a model.

    Returns
    -------
    params : Params
    facts : dict

    Raises
    ------
    ModelFileError
        Not a model file, one of another version, damaged or changed by hand.
    """
    content = _read_archive(path)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in _ARRAYS}
            header = json.loads(archive["header"].tobytes())
    except Exception:  # whatever zip, .npy and JSON parsers make of foreign bytes
        raise ModelFileError(f"{path}: not a gmm-fast model file, or a damaged one") from None
    _check_header(path, header)
    if header.pop("sha256", None) != _digest(header, arrays):
        raise ModelFileError(
            f"{path}: the model was damaged or changed after it was written; fit again, or take "
            "a copy that is whole"
        )
    params = Params(**arrays, covariance_type=header["covariance_type"])
    try:
        params = check_params(params, str(path))
    except DataError as error:
        raise ModelFileError(str(error)) from None
    if FAMILIES[params.covariance_type].inverse_cholesky(params.covariances)[1].any():
        raise ModelFileError(f"{path}: covariances are not positive definite; fit again")
    return params, header["facts"]


def _read_archive(path):
    """The bytes of a file that may be a model; others are refused before they are read whole."""
    if not os.path.exists(path):
        raise ModelFileError(f"{path}: no such file; check the path")
    if not os.path.isfile(path):
        raise ModelFileError(f"{path}: is not a file; give the model file that a fit wrote")
    try:
        with open(path, "rb") as file:
            head = file.read(len(npy_format.MAGIC_PREFIX))
            if head == npy_format.MAGIC_PREFIX:
                raise ModelFileError(
                    f"{path}: holds data (.npy), not a model; MODEL comes before DATA"
                )
            if not head.startswith(b"PK"):
                raise ModelFileError(f"{path}: not a gmm-fast model file")
            return head + file.read()
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read: {error.strerror}") from None


def _check_header(path, header):
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise ModelFileError(f"{path}: not a gmm-fast model file")
    if header.get("version") != VERSION:
        raise ModelFileError(
            f"{path}: a model file of version {header.get('version')}; this gmm-fast reads "
            f"version {VERSION}; fit again, or use the gmm-fast that wrote it"
        )
    if header.get("covariance_type") not in list(FAMILIES) or not isinstance(
        header.get("facts"), dict
    ):
        raise ModelFileError(f"{path}: the model's header is not complete")


def _digest(header, arrays):
    """SHA-256 of everything in the file, header first, arrays with dtypes and shapes."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in _ARRAYS:
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
