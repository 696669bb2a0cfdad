"""A model whose attributes may have been set by hand: its covariances, its features."""

import zlib
from contextlib import suppress

import numpy as np

from ..errors import DataError
from ..mixture.families import get_family
from ..mixture.params import covariance_shape

# The attributes that say the same; scikit-learn's densities read the last.
SAME = ("covariances_", "precisions_", "precisions_cholesky_")
# How far the product of a covariance and its precision may be from one.
APART = 1e-3


class SetByHand:
    """An estimator that notices when one of `SAME` is set, also to the value that it has.

    Means of other features leave no number, and no names, of those from before.
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
        with suppress(DataError):  # which is raised when they are used
            d = self.n_features_in_ = means(self).shape[1]
            if len(vars(self).get("feature_names_in_", range(d))) != d:
                del self.feature_names_in_


def means(model):
    """The means as an array; DataError unless they are one of numbers, (K, d)."""
    found = _numbers(model.means_, "means_")
    if found.ndim != 2:
        raise DataError(f"the model: means_ has shape {found.shape}; (K, d) is needed")
    return found


def weights(model):
    """The weights as an array; DataError unless they are numbers."""
    return _numbers(model.weights_, "weights_")


def remember(model, family):
    """What is set now is in agreement, of that family, and made of the covariances."""
    model._agreed = "covariances_", _marks(model), family


def covariances(model):
    """The covariances of a model, from the attribute that was set last.

    Parameters
    ----------
    model : GaussianMixture

    Returns
    -------
    ndarray
        Not checked, but for what was made of precisions.
    family : str
        That of the fit, whatever `set_params` said since then; what was set by hand is of the
        model's `covariance_type`.

    Raises
    ------
    AttributeError
        None is set.
    DataError
        Several were set since they last agreed, and contradict each other; precisions are not
        those of any covariance.
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
    """For each attribute that is set, what tells its value from others."""
    marks = {}
    for name in SAME:
        value = vars(model).get(name)
        if value is not None:
            array = np.ascontiguousarray(_numbers(value, name))
            marks[name] = array.shape, zlib.crc32(array)
    return marks


def _from(model, name, family):
    """Covariances from one of the attributes."""
    value = getattr(model, name)
    if name == "covariances_":
        return value
    value = _numbers(value, name)
    _check_shape(value, model, name, family)
    structure = get_family(family)
    if name == "precisions_cholesky_":
        value = structure.squared(value)
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
    """Raise DataError unless an attribute says what the covariances say that were found."""
    value = _numbers(getattr(model, name), name)
    _check_shape(value, model, name, family)
    found = _numbers(found, source)
    _check_shape(found, model, source, family)
    structure = get_family(family)
    if name == "precisions_cholesky_":
        value = structure.squared(value)
    if not (structure.apart(found, value) <= APART).all():
        raise DataError(
            f"the model: {source} and {name} were both set, and contradict each other; set one of "
            f"them, or delete the other (del model.{name})"
        )
