"""Model files: the parameters of a mixture, and facts about the fit that found them."""

from .archive import Kind, read_archive, write_archive
from .errors import DataError, ModelFileError
from .families import FAMILIES
from .params import Params, check_params


def _complete(header):
    return header.get("covariance_type") in list(FAMILIES) and isinstance(header.get("facts"), dict)


MODEL = Kind(
    format="gmm-fast model",
    version=1,
    noun="model",
    file="model file",
    error=ModelFileError,
    needed="give the model file that a fit wrote",
    order="MODEL comes before DATA",
    again="fit again",
    complete=_complete,
    names=("weights", "means", "covariances"),
)


def write_model(path, params, facts):
    """Write a model.

    Parameters
    ----------
    path : str or path
    params : Params
    facts : dict
        JSON values about the fit, given back by `read_model`.
    """
    arrays = {name: getattr(params, name) for name in MODEL.names}
    header = {"covariance_type": params.covariance_type, "facts": facts}
    write_archive(path, MODEL, header, arrays)


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
    header, arrays = read_archive(path, MODEL)
    params = Params(**arrays, covariance_type=header["covariance_type"])
    try:
        params = check_params(params, str(path))
    except DataError as error:
        raise ModelFileError(str(error)) from None
    if FAMILIES[params.covariance_type].inverse_cholesky(params.covariances)[1].any():
        raise ModelFileError(f"{path}: covariances are not positive definite; fit again")
    return params, header["facts"]
