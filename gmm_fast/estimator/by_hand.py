"""Reads models whose attributes may have been set by hand: covariances, features."""

import zlib
from contextlib import suppress

import numpy as np

from ..errors import DataError
from ..mixture.families import get_family
from ..mixture.params import covariance_shape

# Attributes that hold the same covariances; scikit-learn's densities read the last one.
SAME = ("covariances_", "precisions_", "precisions_cholesky_")
# How far the product of a covariance and its precision may be from one.
APART = 1e-3


class SetByHand:
    """An estimator that notices when one of `SAME` is set, even to its own value.

    Setting means of other features drops the number and names of the old ones.
    """

    def __setattr__(self, name, value):
        super().__setattr__(name, value)
        if name == "means_":
            self._count_features()
        if name in SAME and "_agreed" in vars(self):
            source, known, family = self._agreed
            known = {other: mark for other, mark in known.items() if other != name}
            self._agreed = source, known, family

    def _count_features(self):
        with suppress(DataError):  # raised when the means are used
            d = self.n_features_in_ = means(self).shape[1]
            if len(vars(self).get("feature_names_in_", range(d))) != d:
                del self.feature_names_in_


def means(model):
    """The means as an array, (K, d); DataError if they are not."""
    found = _numbers(model.means_, "means_")
    if found.ndim != 2:
        raise DataError(f"the model: means_ has shape {found.shape}; (K, d) is needed")
    return found


def weights(model):
    """The weights as an array; DataError if they are not numbers."""
    return _numbers(model.weights_, "weights_")


def remember(model, family):
    """Record that the current values agree, belong to `family` and derive from the covariances."""
    model._agreed = "covariances_", _marks(model), family


def covariances(model):
    """The covariances of a model, from the attribute that was set last.

    Parameters
    ----------
    model : GaussianMixture

    Returns
    -------
    ndarray
        Not checked, unless computed from precisions.
    family : str
        Family of the fit, whatever `set_params` changed since; values set by hand belong to the
        model's `covariance_type`.

    Raises
    ------
    AttributeError
        None of the attributes is set.
    DataError
        Several were set since they last agreed, and contradict each other; or no covariance has
        these precisions.
    """
    marks = _marks(model)
    source, known, family = getattr(model, "_agreed", (None, {}, None))
    changed = [name for name in SAME if name in marks and marks[name] != known.get(name)]
    if changed or family is None:
        family = get_family(model.covariance_type).name
    if not changed and source in marks:
        changed = [source]
    if not changed:
        changed = [name for name in SAME if name in marks] or ["covariances_"]
    found = _from(model, changed[0], family)
    for name in changed[1:]:
        _check_agreement(model, found, changed[0], name, family)
    if len(marks) and marks != known:
        model._agreed = changed[0], marks, family
    return found, family


def _marks(model):
    """A fingerprint of the value of each attribute that is set."""
    marks = {}
    for name in SAME:
        value = vars(model).get(name)
        if value is not None:
            array = np.ascontiguousarray(_numbers(value, name))
            marks[name] = array.shape, zlib.crc32(array)
    return marks


def _from(model, name, family):
    """The covariances according to one of the attributes."""
    value = getattr(model, name)
    if name == "covariances_":
        return value
    value = _numbers(value, name)
    _check_shape(value, model, name, family)
    structure = get_family(family)
    if name == "precisions_cholesky_":
        value = structure.square_factors(value)
    try:
        with np.errstate(all="ignore"):
            found = structure.invert(value)
    except np.linalg.LinAlgError:
        found = np.array(np.nan)
    if not np.isfinite(found).all():
        raise DataError(f"the model: {name} is singular, or not finite")
    return structure.symmetric(found)


def _numbers(value, name):
    try:
        if getattr(getattr(value, "dtype", None), "kind", None) == "c":
            raise TypeError  # NumPy would only warn, and take the real parts
        return np.asarray(value, np.float64)
    except (TypeError, ValueError):
        raise DataError(f"the model: {name} is not an array of numbers") from None


def _check_shape(value, model, name, family):
    expected = covariance_shape(family, *means(model).shape)
    if value.shape != expected:
        raise DataError(f"the model: {name} has shape {value.shape}; {family} needs {expected}")


def _check_agreement(model, found, source, name, family):
    """Raise DataError unless an attribute agrees with the covariances `found`."""
    value = _numbers(getattr(model, name), name)
    _check_shape(value, model, name, family)
    found = _numbers(found, source)
    _check_shape(found, model, source, family)
    structure = get_family(family)
    if name == "precisions_cholesky_":
        value = structure.square_factors(value)
    if not (structure.apart(found, value) <= APART).all():
        raise DataError(
            f"the model: {source} and {name} were both set, and contradict each other; set one of "
            f"them, or delete the other (del model.{name})"
        )
