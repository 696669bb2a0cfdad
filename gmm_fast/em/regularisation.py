"""`reg_covar`: what is added to the variances in every M-step, and when that is too much."""

import numpy as np

from ..errors import DataError, number_list

AUTO = "auto"
# Of a feature's variance, or of 1 where that is less: so that ordinary data gets scikit-learn's
# 1e-6 to the last digit, and data in small units what 1e-6 is to data of variance 1.
SHARE = 1e-6
# An explicit value above this share of a feature's variance swamps it.
SWAMPED = 0.01


def check_reg_covar(value):
    """Raise DataError unless `value` is "auto", or numbers that are finite and not negative."""
    if isinstance(value, str):
        if value != AUTO:
            raise DataError(f"reg_covar must be 'auto' or a number, not {value!r}")
    elif not (np.isfinite(value).all() and (np.asarray(value) >= 0).all()):
        raise DataError(f"reg_covar must be 0 or more and finite, not {value}")


def reg_covar_for(value, survey, dtype):
    """What to add to the variances of data: `value`, or for "auto" an array (d,).

    Parameters
    ----------
    value : float, (d,) array or "auto"
    survey : Survey
    dtype : numpy.dtype
        What the kernels compute in.
    """
    if not isinstance(value, str):
        return value
    variance = survey.variance.copy()
    constant = survey.constant_features
    # a constant feature has no scale of its own
    variance[constant] = variance.max() or 1.0
    reg_covar = SHARE * np.minimum(variance, 1.0)
    # and what is added to it has to be seen beside the rounding of its value
    seen = (4 * np.finfo(dtype).eps * survey.mean[constant]) ** 2
    reg_covar[constant] = np.maximum(reg_covar[constant], seen)
    return reg_covar


def swamp_events(value, survey):
    """An event when an explicit `value` is not small beside the variance of every feature."""
    if isinstance(value, str) or np.ndim(value):  # made for this data
        return []
    small = (survey.variance > 0) & (value > SWAMPED * survey.variance)
    small[survey.constant_features] = False
    features = np.flatnonzero(small)
    if len(features) == 0:
        return []
    return [
        f"reg_covar ({value:g}) is not small beside the variance of "
        f"{number_list(features, 'feature')} (counting from 0): lower it to "
        f"{SHARE * survey.variance[features].min():.1g} or set it to 'auto', or rescale the data"
    ]
