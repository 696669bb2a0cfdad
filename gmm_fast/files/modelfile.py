"""Model files: the parameters of a mixture, and facts about the fit that found them."""

import os
import sys

import numpy as np

from ..errors import DataError, ModelFileError
from ..mixture.families import FAMILIES
from ..mixture.params import Params, check_params
from ..sources import Dialect, parse_all
from .archive import Kind, read_archive, write_archive


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

# Of one over a standard deviation: its square is a precision.
MOST_FACTOR = 1e150


def check_model_name(option, path):
    """Raise DataError where the name of a model announces another format than ``.npz``.

    A name without an ending announces none.
    """
    ending = os.path.splitext(os.fsdecode(path))[1]
    if ending.lower() not in ("", ".npz"):
        raise DataError(f"{option} {path}: a model is an .npz, not {ending}; let its name end so")


def write_model(path, params, facts):
    """Write a model.

    Parameters
    ----------
    path : str or path
    params : Params
    facts : dict
        JSON values about the fit, given back by `read_model`.
    """
    check_model_name("model", path)
    arrays = {name: getattr(params, name) for name in MODEL.names}
    if params.scatter is not None:
        arrays["scatter"] = params.scatter
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
        params = check_mixture(params, str(path))
    except DataError as error:
        raise ModelFileError(str(error)) from None
    facts = header["facts"]
    features = facts.get("features")
    if features is not None and not (_are_texts(features) and len(features) == params.n_features):
        raise ModelFileError(f"{path}: the names of the features are no names; fit again")
    _check_reading(facts, params.n_features, path)
    return params, facts


def _check_reading(facts, n_features, path):
    """Raise ModelFileError where facts on how the data was read cannot be used."""
    each, reading = facts.get("transforms"), facts.get("reading")
    try:
        if each is not None:
            told = [text for text in each if text is not None]
            if not (isinstance(each, list) and len(each) == n_features and told):
                raise ValueError
            parse_all(each)
        if reading is not None:
            Dialect(**reading["given"])
            words = [word for values in reading["written"].values() for word in values]
            if reading.keys() != {"given", "written"}:
                raise ValueError
            if not all(isinstance(word, str | bool) for word in words):
                raise ValueError
    except (AttributeError, KeyError, TypeError, ValueError):  # a DataError is one, too
        raise ModelFileError(
            f"{path}: how the data of the fit was read makes no sense; fit again"
        ) from None


def check_mixture(params, what):
    """Stored parameters, checked.

    Raises
    ------
    DataError
        As `params.check_params`; other numbers than float64; covariances that are singular.
    """
    if params.scatter is not None and not np.isfinite(params.scatter).all():
        raise DataError(f"{what}: the scatter holds values that are not finite; fit again")
    for name in MODEL.names:
        dtype = getattr(params, name).dtype
        if dtype.newbyteorder("=") != np.float64:
            raise DataError(f"{what}: {name} are {dtype}, not float64; fit again")
    params = check_params(params, what)
    factor, singular = params.factored
    if singular.any():
        raise DataError(f"{what}: covariances are not positive definite; fit again")
    if np.abs(factor).max() > MOST_FACTOR:
        raise DataError(f"{what}: covariances are so small that precisions overflow; fit again")
    return params


def check_facts(facts, n_features, what):
    """Raise ModelFileError unless stored facts tell all of a fit, in values that make sense."""
    wrong = [name for name, check in _FACTS.items() if not check(facts.get(name))]
    if not wrong and len(facts["trace"]) > facts["n_iter"] + 1:
        wrong = ["trace"]
    reg_covar = facts.get("reg_covar")
    one_each = isinstance(reg_covar, list) and len(reg_covar) == n_features
    if not (reg_covar is None or are_numbers(reg_covar if one_each else [reg_covar])):
        wrong.append("reg_covar")
    wrong += wrong_later_facts(facts)
    steps = facts.get("resolution")
    told = len(steps) == n_features if isinstance(steps, list) else not facts.get("rounded")
    if not told:
        wrong.append("resolution")
    if wrong:
        raise ModelFileError(f"{what}: {', '.join(wrong)} of the fit cannot be used; fit again")


def wrong_later_facts(facts):
    """Names of the facts that older files are without, if they make no sense where they are."""
    return [name for name, check in _LATER.items() if name in facts and not check(facts[name])]


def is_number(value):
    """Whether a JSON value is a finite number, as float64."""
    return type(value) in (int, float) and abs(value) <= sys.float_info.max


def is_count(value):
    return type(value) is int and value >= 0


def are_numbers(values):
    return isinstance(values, list) and all(map(is_number, values))


def _is_likelihood(value):
    """Whether a value is a number, or NaN: nobody knows how likely a model from elsewhere is."""
    return is_number(value) or (type(value) is float and value != value)


def _are_texts(values):
    return isinstance(values, list) and all(isinstance(value, str) for value in values)


# What `em.FitResult` is made of, besides the parameters.
_FACTS = {
    "log_likelihood": _is_likelihood,
    "log_max_resp": _is_likelihood,
    "total_weight": lambda value: is_number(value) and value > 0,
    "n_samples": is_count,
    "trace": lambda values: isinstance(values, list) and all(map(_is_likelihood, values)),
    "n_iter": is_count,
    "converged": lambda value: isinstance(value, bool),
    "stop_reason": lambda value: isinstance(value, str),
    "events": _are_texts,
    "seconds": lambda value: isinstance(value, dict) and are_numbers(list(value.values())),
}
_LATER = {
    "effort": lambda value: is_number(value) and value >= 0,
    "moves": is_count,
    "resolution": lambda value: value is None or (are_numbers(value) and min(value) >= 0),
    "rounded": lambda value: isinstance(value, bool),
    "excess": lambda value: value is None or (is_number(value) and 0 <= value <= 1),
}
