"""Project a mixture to coordinates to draw: some features, or discriminant directions."""

from dataclasses import dataclass

import numpy as np

from ..text import shorten

# The name of a direction mentions at most MOST_NAMED features. Each has at least LEAST_SHARE of the
# largest correlation, and is cut to LONGEST_NAME characters.
MOST_NAMED = 3
LEAST_SHARE = 0.6
LONGEST_NAME = 20


@dataclass(frozen=True, eq=False)
class View:
    """Coordinates in which rows and mixtures are drawn.

    Attributes
    ----------
    axes : (d, m) float64
        A coordinate is (x - `centre`) @ `axes`.
    centre : (d,) float64
    names : list of str
        Names of the m coordinates.
    columns : (m,) int array or None
        The features, where the coordinates are features; then `centre` is zero.
    ratios : (m,) float64 or None
        Fisher's ratio of each direction, where directions separate components.
    """

    axes: np.ndarray
    centre: np.ndarray
    names: list
    columns: np.ndarray | None = None
    ratios: np.ndarray | None = None

    @property
    def n_axes(self):
        return len(self.names)

    def rows(self, x):
        """Coordinates of rows (n, d), shape (n, m)."""
        return x[:, self.columns] if self.columns is not None else (x - self.centre) @ self.axes

    def mixture(self, params):
        """The mixture in these coordinates: (K, m) means and (K, m, m) covariances.

        A linear map `x @ A` of a Gaussian is a Gaussian with `mean @ A` and `A' Sigma A`.
        """
        covariances = np.stack([_sandwich(one, self.axes) for one in _each(params)])
        return self.rows(params.means), covariances


def features_view(params, columns, names):
    """View some features.

    Parameters
    ----------
    params : Params
    columns : sequence of int
    names : list of str
        Names of all features.

    Returns
    -------
    View
    """
    columns = np.asarray(columns, np.int64)
    axes = np.zeros((params.n_features, len(columns)))
    axes[columns, np.arange(len(columns))] = 1
    centre = np.zeros(params.n_features)
    return View(axes, centre, [names[j] for j in columns], columns=columns)


def discriminant_view(params, names, n_axes=2):
    """View the directions that separate the components of a mixture best.

    These are the directions of linear discriminant analysis with components as classes [1]_. With
    W the covariance within components and B the covariance of their means (both weighted), each
    maximises Fisher's ratio v' B v / v' W v among directions uncorrelated with those before
    (v_i' W v_j = 0). They depend on the parameters alone, and an affine map of the features changes
    nothing in the picture but signs.

    At most K - 1 directions tell means apart. Next come those in which the covariances of the
    components differ most, by the sum of w_k (S_k - 1)^2 for covariances S_k on the scale where W
    is 1, as in dimension reduction for mixtures [2]_; then those most correlated with all features.

    Parameters
    ----------
    params : Params
    names : list of str
        Names of the features.
    n_axes : int
        At most the number of features.

    Returns
    -------
    View
        Coordinates have a standard deviation of 1 within components, and are zero at the mean.

    References
    ----------
    .. [1] R. A. Fisher (1936), The use of multiple measurements in taxonomic problems. Annals of
       Eugenics 7, 179-188; C. R. Rao (1948), The utilization of multiple measurements in problems
       of biological classification. Journal of the Royal Statistical Society B 10(2), 159-203.
    .. [2] L. Scrucca (2010), Dimension reduction for model-based clustering. Statistics and
       Computing 20(4), 471-484.
    """
    weights = params.weights / params.weights.sum()
    centre = weights @ params.means
    within = _within(params, weights)
    scale = np.sqrt(np.diagonal(within))
    whitening, correlation = _whitening(within, scale)
    means = ((params.means - centre) / scale) @ whitening * np.sqrt(weights)[:, None]
    basis, ratios = _span(means, n_axes)
    if basis.shape[1] < n_axes:
        basis = _complete(basis, _spread_of_covariances(params, weights, scale, whitening), n_axes)
    if basis.shape[1] < n_axes:
        # correlations of the features with a coordinate u are those of W^(1/2) u
        mixed = correlation @ whitening
        basis = _complete(basis, mixed.T @ mixed, n_axes)
    axes = whitening @ basis
    loadings = correlation @ axes
    signs = np.sign(loadings[np.abs(loadings).argmax(axis=0), np.arange(n_axes)])
    ratios = np.concatenate([ratios, np.zeros(n_axes - len(ratios))])
    alone = np.count_nonzero(weights) == 1
    what = "direction" if alone else "discriminant"
    labels = [
        f"{what} {i + 1} ({_main_features(loadings[:, i] * signs[i], names)})"
        for i in range(n_axes)
    ]
    ratios = None if alone else ratios
    return View(axes * signs / scale[:, None], centre, labels, ratios=ratios)


def fisher_ratio(params, axes):
    """Fisher's ratio v' B v / v' W v of each direction.

    Parameters
    ----------
    params : Params
    axes : (d, m) float64

    Returns
    -------
    (m,) float64
        Variance between components over variance within them, both weighted.
    """
    weights = params.weights / params.weights.sum()
    between = weights @ ((params.means - weights @ params.means) @ axes) ** 2
    return between / np.einsum("ji,jk,ki->i", axes, _within(params, weights), axes)


def telling_features(params, most):
    """The features that, each by itself, tell the components apart best; in their own order.

    Returns
    -------
    (min(most, d),) int array
    """
    weights = params.weights / params.weights.sum()
    scale = np.sqrt(weights @ params.family.component_variances(params))
    ratios = weights @ ((params.means - weights @ params.means) / scale) ** 2
    return np.sort(np.argsort(-ratios, kind="stable")[:most])


def inside(points, limits):
    """Mask of the (n, m) points within (m, 2) limits."""
    return ((points >= limits[:, 0]) & (points <= limits[:, 1])).all(axis=1)


def _each(params):
    """Covariances of the components, each (d, d), or (d,) for a diagonal."""
    if params.family.matrices:
        return params.family.each(params.covariances, params.n_components)
    return params.family.component_variances(params)


def _sandwich(covariance, axes):
    """A' Sigma A, for a matrix or its diagonal."""
    if covariance.ndim == 1:
        return (axes.T * covariance) @ axes
    return axes.T @ covariance @ axes


def _within(params, weights):
    """Weighted mean of the covariances, (d, d)."""
    if params.family.matrices:
        return params.family.within(params.covariances, weights)
    return np.diag(weights @ params.family.component_variances(params))


def _whitening(within, scale):
    """(d, d) map of features divided by `scale` to where W is 1, and their correlations."""
    correlation = within / scale / scale[:, None]
    values, vectors = np.linalg.eigh(correlation)
    # where W is nearly singular: no more than the digits allow
    least = len(scale) * np.finfo(np.float64).eps * values[-1]
    return vectors / np.sqrt(np.maximum(values, least)), correlation


def _span(means, most):
    """Principal directions of (K, d) weighted means as columns, at most `most`; their ratios."""
    values, vectors = np.linalg.svd(means, full_matrices=False)[1:]
    kept = values > 1e-9 * max(values[0], 1e-9)
    ratios = values[kept][:most] ** 2
    return vectors[kept][:most].T, ratios


def _complete(basis, matrix, n_axes):
    """Add to `basis`, (d, m), the main axes of `matrix` orthogonal to it, up to `n_axes`."""
    rest = np.eye(len(matrix)) - basis @ basis.T
    values, vectors = np.linalg.eigh(rest @ matrix @ rest)
    wanted = n_axes - basis.shape[1]
    kept = values[::-1][:wanted] > 1e-9
    return np.concatenate([basis, vectors[:, ::-1][:, :wanted][:, kept]], axis=1)


def _spread_of_covariances(params, weights, scale, whitening):
    """Weighted sum of (S_k - 1)^2, (d, d), for covariances S_k on the scale where W is 1."""
    total = np.zeros((len(scale), len(scale)))
    if params.family.shared:
        return total
    to_unit = whitening / scale[:, None]
    for weight, covariance in zip(weights, _each(params), strict=True):
        apart = _sandwich(covariance, to_unit) - np.eye(len(scale))
        total += weight * (apart @ apart)
    return total


def _main_features(loadings, names):
    """The features most correlated with a direction."""
    strength = np.abs(loadings)
    order = np.argsort(-strength, kind="stable")[:MOST_NAMED]
    order = [j for j in order if strength[j] >= LEAST_SHARE * strength[order[0]]]
    sign = {True: "−", False: ""}
    return ", ".join(sign[bool(loadings[j] < 0)] + shorten(names[j], LONGEST_NAME) for j in order)
