"""Covariance families: how merged statistics become the next covariances.

To add one, write a subclass of `Family` and put it into `FAMILIES`.
"""

from contextlib import suppress

import numpy as np
from scipy.linalg.lapack import dtrtri

from .errors import DataError
from .kernels import cholesky

EPS = float(np.finfo(np.float64).eps)
# Of a number of rows: responsibilities that sum to a whole number but for rounding are whole.
NEARLY = 1 - 1e-6


class Family:
    """One covariance structure.

    Attributes
    ----------
    name : str
        As in scikit-learn's ``covariance_type``.
    mclust_name : str
    form : str
        How kernels evaluate it: triangular, diagonal or whitened (without correlations, on data
        whitened once per block).
    """

    name: str
    mclust_name: str
    form: str

    def n_covariance_parameters(self, k, d):
        """Free parameters of the covariances alone."""
        raise NotImplementedError

    def n_parameters(self, k, d):
        """Free parameters of the mixture: weights, means and covariances."""
        return (k - 1) + k * d + self.n_covariance_parameters(k, d)

    def directions(self, d):
        """Samples that a component needs for a covariance of its own that is not singular."""
        return 2

    def least_rows(self, k, d):
        """Fewest rows that can decide k means and all covariances."""
        return k * self.directions(d)

    def undecided(self, rows, d):
        """Which covariances are of fewer rows than can decide them, (K,) or (1,) bool.

        `rows`, (K,), are those that each component is responsible for.
        """
        return rows < NEARLY * self.least_rows(1, d)

    def covariances(self, stats, delta, reg_covar):
        """M-step: Sigma = S2 / N - delta delta', plus `reg_covar` on the diagonal.

        Parameters
        ----------
        stats : Stats
        delta : (K, d) float64
            New means less the means of `stats`.
        reg_covar : float or (d,) array
            Spherical takes its mean.
        """
        raise NotImplementedError

    def inverse_cholesky(self, covariances):
        """Inverse of the Cholesky factors, and which covariances are numerically singular.

        Returns
        -------
        factor : float64
            L^-1, lower triangular, (K, d, d) or (d, d); its diagonal (K, d) for diag; 1 / sigma
            (K,) for spherical. Entries of singular ones are not meaningful.
        singular : (K,) or (1,) bool
        """
        raise NotImplementedError

    def conditional_variances(self, factor):
        """Variance of each feature given the others, (K, d), (1, d) or (K, 1).

        `factor` is what `inverse_cholesky` returned.
        """
        return 1 / factor**2

    def raised(self, covariances, which, floor):
        """`covariances` with `floor` (d,) added to the variances of those that `which` marks."""
        raise NotImplementedError

    def component_variances(self, params):
        """Variances of each component in each feature, (K, d)."""
        raise NotImplementedError

    def unit(self, d):
        """Covariances of one component with variances of 1 and no correlations."""
        return np.ones((1, d))

    def second_moment(self, stats):
        """Of `stats` of one component: sum of w (x - mu)(x - mu)', its diagonal, or its trace."""
        return stats.s2[0]

    def moments(self, centred, weights):
        """s2 of `Stats` of one component that has all samples, x - mu (n, d), with weights (n,)."""
        return (weights @ centred**2)[None]

    def square(self, delta):
        """What `second_moment` is of one sample of weight 1 at mu + `delta`, (d,)."""
        return delta**2

    def invert(self, covariances):
        """Precisions of covariances, or covariances of precisions."""
        return 1.0 / covariances

    def replaced(self, covariances, target, source):
        """`covariances` with component `target` given the covariance of `source`."""
        covariances = covariances.copy()
        covariances[target] = covariances[source]
        return covariances

    def full(self, params):
        """Covariances as one (K, d, d) array, whatever the family."""
        return np.stack([np.diag(v) for v in self.component_variances(params)])


def _inverse_cholesky(covariances):
    """L^-1 of (K, d, d) matrices, and which of them are numerically singular.

    A pivot is judged beside its feature's variance, so that units of features do not matter.
    """
    d = covariances.shape[1]
    tolerance = 10 * d * EPS
    if d <= cholesky.MOST_FEATURES:
        if not (covariances.flags.c_contiguous and covariances.flags.writeable):
            covariances = covariances.copy()  # of others the kernel would be compiled anew
        inverse, singular = np.zeros(covariances.shape), np.empty(len(covariances), bool)
        cholesky.inverse_cholesky(covariances, tolerance, inverse, singular)
        return inverse, singular
    least = tolerance * np.abs(np.diagonal(covariances, axis1=1, axis2=2))
    lower = _cholesky(covariances)
    singular = ~(np.diagonal(lower, axis1=1, axis2=2) ** 2 > least).all(axis=1)
    if singular.any():
        lower[singular] = np.eye(d)  # something valid in their place
    inverse = np.empty_like(lower)
    for k, one in enumerate(lower):
        inverse[k] = dtrtri(one, lower=1)[0]
    return inverse, singular


def _cholesky(matrices):
    """Cholesky factors of (K, d, d) matrices, zeros where there is none."""
    try:
        return np.linalg.cholesky(matrices)
    except np.linalg.LinAlgError:
        lower = np.zeros_like(matrices)
        for k, matrix in enumerate(matrices):
            with suppress(np.linalg.LinAlgError):
                lower[k] = np.linalg.cholesky(matrix)
        return lower


def _singular_variances(variances):
    return ~(np.isfinite(variances) & (variances > 0))


class Full(Family):
    name, mclust_name, form = "full", "VVV", "triangular"

    def directions(self, d):
        return d + 1

    def moments(self, centred, weights):
        return ((weights[:, None] * centred).T @ centred)[None]

    def square(self, delta):
        return np.outer(delta, delta)

    def n_covariance_parameters(self, k, d):
        return k * d * (d + 1) // 2

    def covariances(self, stats, delta, reg_covar):
        sigma = stats.s2 / stats.n_k[:, None, None] - delta[:, :, None] * delta[:, None, :]
        sigma.reshape(len(sigma), -1)[:, :: sigma.shape[1] + 1] += reg_covar  # the diagonals
        return sigma

    def inverse_cholesky(self, covariances):
        return _inverse_cholesky(covariances)

    def conditional_variances(self, factor):
        return 1 / (factor**2).sum(axis=1)

    def raised(self, covariances, which, floor):
        return covariances + which[:, None, None] * np.diag(floor)

    def component_variances(self, params):
        return np.diagonal(params.covariances, axis1=1, axis2=2)

    def unit(self, d):
        return np.eye(d)[None]

    def invert(self, covariances):
        return np.linalg.inv(covariances)

    def full(self, params):
        return params.covariances


class Tied(Family):
    name, mclust_name, form = "tied", "EEE", "whitened"

    def directions(self, d):
        return 1

    def moments(self, centred, weights):
        return (weights[:, None] * centred).T @ centred

    def square(self, delta):
        return np.outer(delta, delta)

    def n_covariance_parameters(self, k, d):
        return d * (d + 1) // 2

    def least_rows(self, k, d):
        return k + d

    def undecided(self, rows, d):
        return np.array([rows.sum() < NEARLY * self.least_rows(len(rows), d)])

    def covariances(self, stats, delta, reg_covar):
        between = (stats.n_k[:, None] * delta).T @ delta
        sigma = (stats.s2 - between) / stats.total_weight
        sigma = 0.5 * (sigma + sigma.T)  # of what cancels, the rounding is not symmetric
        sigma.flat[:: len(sigma) + 1] += reg_covar
        return sigma

    def inverse_cholesky(self, covariances):
        factor, singular = _inverse_cholesky(covariances[None])
        return factor[0], singular

    def conditional_variances(self, factor):
        return 1 / (factor**2).sum(axis=0, keepdims=True)

    def raised(self, covariances, which, floor):
        return covariances + which[0] * np.diag(floor)

    def component_variances(self, params):
        return np.tile(np.diagonal(params.covariances), (params.n_components, 1))

    def unit(self, d):
        return np.eye(d)

    def second_moment(self, stats):
        return stats.s2

    def invert(self, covariances):
        return np.linalg.inv(covariances)

    def replaced(self, covariances, target, source):
        return covariances

    def full(self, params):
        return np.tile(params.covariances, (params.n_components, 1, 1))


class Diag(Family):
    name, mclust_name, form = "diag", "VVI", "diagonal"

    def n_covariance_parameters(self, k, d):
        return k * d

    def covariances(self, stats, delta, reg_covar):
        return stats.s2 / stats.n_k[:, None] - delta**2 + reg_covar

    def inverse_cholesky(self, covariances):
        singular = _singular_variances(covariances).any(axis=1)
        return 1 / np.sqrt(np.where(_singular_variances(covariances), 1.0, covariances)), singular

    def raised(self, covariances, which, floor):
        return np.where(which[:, None], np.maximum(covariances, 0) + floor, covariances)

    def component_variances(self, params):
        return params.covariances


class Spherical(Diag):
    name, mclust_name, form = "spherical", "VII", "diagonal"

    def n_covariance_parameters(self, k, d):
        return k

    def covariances(self, stats, delta, reg_covar):
        d = delta.shape[1]
        return (stats.s2 / stats.n_k - (delta**2).sum(axis=1)) / d + np.mean(reg_covar)

    def moments(self, centred, weights):
        return super().moments(centred, weights).sum(axis=1)

    def square(self, delta):
        return delta @ delta

    def inverse_cholesky(self, covariances):
        singular = _singular_variances(covariances)
        return 1 / np.sqrt(np.where(singular, 1.0, covariances)), singular

    def conditional_variances(self, factor):
        return 1 / factor[:, None] ** 2

    def raised(self, covariances, which, floor):
        return np.where(which, np.maximum(covariances, 0) + floor.mean(), covariances)

    def component_variances(self, params):
        return np.repeat(params.covariances[:, None], params.n_features, axis=1)

    def unit(self, d):
        return np.ones(1)


FAMILIES = {family.name: family for family in (Full(), Tied(), Diag(), Spherical())}


def get_family(name):
    """The family of that name.

    Raises
    ------
    DataError
        No family of that name.
    """
    try:
        return FAMILIES[name]
    except KeyError:
        raise DataError(
            f"unknown covariance family {name!r}; choose from {', '.join(FAMILIES)}"
        ) from None
