"""Covariance families: what structure covariances have, and how statistics become the next ones.

To add one, write a subclass of `Family` and put it into `FAMILIES`. Of the mixins one says whose a
covariance is, `PerComponent` or `Shared`; the other how it is kept: `Matrices`, `Variances` or
`OneVariance`. An entry is one covariance as the family keeps it, without the axis of components.
"""

from contextlib import suppress

import numpy as np
from scipy.linalg.lapack import dtrtri

from ..errors import DataError
from ..kernels import cholesky, structures

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
    structure : int or None
        What the kernel of short runs calls its M-step, one of `kernels.structures`; without one
        short runs are made by `em.fit`.
    shared : bool
        Whether all components have one covariance.
    layout : str
        How a covariance is kept: matrices, variances (of each feature) or variance (of all).
    """

    name: str
    mclust_name: str
    form: str
    structure: int | None = None
    shared: bool
    layout: str

    # What it declares ---------------------------------------------------------------------------

    @property
    def matrices(self):
        """Whether features may be correlated."""
        return self.layout == "matrices"

    def n_covariances(self, k):
        """Covariances of k components."""
        return 1 if self.shared else k

    def n_matrices(self, k):
        """Covariance matrices among them."""
        return self.n_covariances(k) if self.matrices else 0

    def shape(self, k, d):
        """Shape of the covariances, as in scikit-learn."""
        return self.entry_shape(d) if self.shared else (k, *self.entry_shape(d))

    def n_covariance_parameters(self, k, d):
        """Free parameters of the covariances alone."""
        return self.n_covariances(k) * self.entry_parameters(d)

    def n_parameters(self, k, d):
        """Free parameters of the mixture: weights, means and covariances."""
        return (k - 1) + k * d + self.n_covariance_parameters(k, d)

    def directions(self, d):
        """Samples that a component needs for a covariance of its own that is not singular."""
        return 1 if self.shared else self.entry_rows(d)

    def least_rows(self, k, d):
        """Fewest rows that can decide k means and all covariances."""
        return k * self.directions(d)

    def undecided(self, rows, d):
        """Which covariances are of fewer rows than can decide them, (K,) or (1,) bool.

        `rows`, (K,), are those that each component is responsible for.
        """
        if self.shared:
            return np.array([rows.sum() < NEARLY * self.least_rows(len(rows), d)])
        return rows < NEARLY * self.least_rows(1, d)

    # The M-step ---------------------------------------------------------------------------------

    def scatter(self, stats, delta):
        """Moments about the new means, a sample: S2 / N - delta delta', of each covariance.

        Parameters
        ----------
        stats : Stats
        delta : (K, d) float64
            New means less the means of `stats`.
        """
        raise NotImplementedError

    def estimate(self, scatter, n_k, previous):
        """The covariances that are most likely given the `scatter`, which they may be themselves.

        Parameters
        ----------
        scatter : float64
            Of `scatter`; may be written.
        n_k : (K,) float64
        previous : float64
            Covariances of the last iteration, for families whose M-step iterates.
        """
        return scatter

    def covariances(self, stats, delta, reg_covar, previous=None):
        """M-step: the `estimate` of the `scatter`, plus `reg_covar` on the diagonal.

        Parameters
        ----------
        stats : Stats
        delta : (K, d) float64
            New means less the means of `stats`.
        reg_covar : float or (d,) array
            Of one variance for all features its mean.
        previous : float64, optional
        """
        found = self.estimate(self.scatter(stats, delta), stats.n_k, previous)
        return self.add_to_variances(found, reg_covar)


class PerComponent:
    """Each component has a covariance of its own."""

    shared = False

    def stacked(self, covariances):
        """Covariances along a first axis, (M, ...)."""
        return covariances

    def each(self, covariances, k):
        """That of each of k components, along a first axis."""
        return covariances

    def within(self, covariances, weights):
        """Their weighted mean, an entry."""
        return np.tensordot(weights, covariances, 1)

    def take(self, covariances, order):
        """Those of some components, in that order."""
        return covariances[order]

    def put(self, covariances, k, entry):
        """Write the covariance of component k; one that is shared stays, EM adapts it."""
        covariances[k] = entry

    def keep(self, covariances, old, which):
        """Write the `old` covariances of components that `which`, (K,) bool, marks."""
        covariances[which] = old[which]

    def replaced(self, covariances, target, source):
        """`covariances` with component `target` given the covariance of `source`."""
        covariances = covariances.copy()
        covariances[target] = covariances[source]
        return covariances

    def pool(self, covariances, i, j, share, delta):
        """That of two components together, an entry.

        `share` is the weight of i among both, `delta` the mean of i less that of j.
        """
        between = self.of_moment(self.square(delta), len(delta))
        within = share * covariances[i] + (1 - share) * covariances[j]
        return within + share * (1 - share) * between

    def scatter(self, stats, delta):
        d = delta.shape[1]
        n_k = stats.n_k.reshape(-1, *(1,) * (stats.s2.ndim - 1))
        return self.of_moment(stats.s2 / n_k - self.squares(delta), d)

    def collect(self, moments):
        """`Stats.s2` of moments of each component, (K, ...)."""
        return moments


class Shared:
    """All components have one covariance."""

    shared = True

    def stacked(self, covariances):
        return covariances[None]

    def each(self, covariances, k):
        return np.broadcast_to(covariances, (k, *covariances.shape))

    def within(self, covariances, weights):
        return covariances

    def take(self, covariances, order):
        return covariances

    def put(self, covariances, k, entry):
        pass

    def keep(self, covariances, old, which):
        pass

    def replaced(self, covariances, target, source):
        return covariances

    def pool(self, covariances, i, j, share, delta):
        return covariances

    def collect(self, moments):
        return moments.sum(axis=0)


class Matrices:
    """A covariance is a matrix, (d, d)."""

    layout = "matrices"

    def entry_shape(self, d):
        return d, d

    def entry_parameters(self, d):
        """Free parameters of one covariance."""
        return d * (d + 1) // 2

    def entry_rows(self, d):
        """Samples that decide one covariance."""
        return d + 1

    def order(self, d):
        """Order of the matrices that each component estimates for itself."""
        return 0 if self.shared else d

    def unit(self, d):
        """Covariances of one component with variances of 1 and no correlations."""
        return np.eye(d) if self.shared else np.eye(d)[None]

    def moments(self, centred, weights):
        """s2 of `Stats` of one component that has all samples, x - mu (n, d), with weights (n,)."""
        if self.shared:
            return (weights[:, None] * centred).T @ centred
        return ((weights[:, None] * centred).T @ centred)[None]

    def second_moment(self, stats):
        """Of `stats` of one component: sum of w (x - mu)(x - mu)', its diagonal, or its trace."""
        return stats.s2 if self.shared else stats.s2[0]

    def square(self, delta):
        """What `second_moment` is of one sample of weight 1 at mu + `delta`, (d,)."""
        return np.outer(delta, delta)

    def squares(self, deltas):
        """`square` of each of (K, d)."""
        return deltas[:, :, None] * deltas[:, None, :]

    def of_moment(self, moment, d):
        """A covariance of what `second_moment` is of a sample, on average."""
        return moment

    def moment_variances(self, moment):
        """Those of the features, (d,), of the same."""
        return np.diagonal(moment)

    def added(self, reg_covar):
        """What is added to variances: of one variance for all features the mean."""
        return reg_covar

    def add_to_variances(self, covariances, added):
        """`covariances`, which may be written, with that much, a number or (d,), added."""
        d = covariances.shape[-1]
        covariances = np.ascontiguousarray(covariances)
        covariances.reshape(-1, d * d)[:, :: d + 1] += added  # the diagonals
        return covariances

    def raised(self, covariances, which, floor):
        """`covariances` with `floor` (d,) added to the variances of those that `which` marks."""
        marked = which[0] if self.shared else which[:, None, None]
        return covariances + marked * np.diag(floor)

    def inverse_cholesky(self, covariances):
        """Inverse of the Cholesky factors, and which covariances are numerically singular.

        Returns
        -------
        factor : float64
            L^-1, lower triangular, (K, d, d) or (d, d); its diagonal (K, d) for diag; 1 / sigma
            (K,) for spherical. Entries of singular ones are not meaningful.
        singular : (K,) or (1,) bool
        """
        factor, singular = _inverse_cholesky(self.stacked(covariances))
        return (factor[0] if self.shared else factor), singular

    def diagonal(self, factor, d):
        """Diagonals of what `inverse_cholesky` returned, (M, d)."""
        return np.diagonal(self.stacked(factor), axis1=1, axis2=2)

    def conditional_variances(self, factor):
        """Variance of each feature given the others, (M, d) or (M, 1).

        `factor` is what `inverse_cholesky` returned.
        """
        return 1 / (self.stacked(factor) ** 2).sum(axis=1)

    def traces_in(self, factor, spread):
        """tr(S inv(Sigma)) of each covariance, (M,), where S = spread spread' (d, d)."""
        return np.atleast_1d(((factor @ spread) ** 2).sum(axis=(-2, -1)))

    def component_variances(self, params):
        """Variances of each component in each feature, (K, d)."""
        variances = np.diagonal(params.covariances, axis1=-2, axis2=-1)
        return np.tile(variances, (params.n_components, 1)) if self.shared else variances

    def variances(self, covariances, d):
        """Those of each covariance in each feature, (M, d)."""
        return np.diagonal(self.stacked(covariances), axis1=1, axis2=2)

    def matrix(self, entry, d):
        """An entry as a matrix, (d, d)."""
        return entry

    def full(self, params):
        """Covariances as one (K, d, d) array, whatever the family."""
        if self.shared:
            return np.tile(params.covariances, (params.n_components, 1, 1))
        return params.covariances

    def of_matrices(self, matrices):
        """Covariances of what `full` gives, or of one matrix (1, d, d) where they share it."""
        return matrices[0] if self.shared else matrices

    def invert(self, covariances):
        """Precisions of covariances, or covariances of precisions."""
        return np.linalg.inv(covariances)

    def transposed(self, covariances):
        """The same where they are symmetric."""
        return np.swapaxes(covariances, -1, -2)

    def symmetric(self, covariances):
        """The same without what rounding makes of symmetry."""
        return 0.5 * (covariances + self.transposed(covariances))

    def asymmetric(self, covariances, apart):
        """Which are not symmetric, by more than that share of their variances, (M,) bool."""
        matrices = self.stacked(covariances)
        scale = np.sqrt(np.abs(np.diagonal(matrices, axis1=1, axis2=2)))
        off = np.abs(matrices - self.transposed(matrices))
        return (off > apart * scale[:, :, None] * scale[:, None, :]).any(axis=(1, 2))

    def precisions(self, factor):
        """Precisions and their Cholesky factors U, upper triangular, of `inverse_cholesky`'s."""
        upper = np.ascontiguousarray(self.transposed(factor))
        return upper @ factor, upper

    def squared(self, factors):
        """Precisions of their Cholesky factors, as scikit-learn keeps them."""
        return factors @ self.transposed(factors)

    def apart(self, covariances, precisions):
        """How far products of covariances and precisions are from one, in any units."""
        scale = np.sqrt(np.abs(np.diagonal(covariances, axis1=-2, axis2=-1)))
        product = (precisions @ covariances) * scale[..., :, None] / scale[..., None, :]
        return np.abs(product - np.eye(precisions.shape[-1]))


class Variances:
    """A covariance is the variance of each feature, (d,)."""

    layout = "variances"

    def entry_shape(self, d):
        return (d,)

    def entry_parameters(self, d):
        return d

    def entry_rows(self, d):
        return 2

    def order(self, d):
        return 0 if self.shared else 1

    def unit(self, d):
        return np.ones(d) if self.shared else np.ones((1, d))

    def moments(self, centred, weights):
        moments = weights @ centred**2
        return moments if self.shared else moments[None]

    def second_moment(self, stats):
        return stats.s2 if self.shared else stats.s2[0]

    def square(self, delta):
        return delta**2

    def squares(self, deltas):
        return deltas**2

    def of_moment(self, moment, d):
        return moment

    def moment_variances(self, moment):
        return moment

    def added(self, reg_covar):
        return reg_covar

    def add_to_variances(self, covariances, added):
        return covariances + added

    def raised(self, covariances, which, floor):
        marked = which[0] if self.shared else which[:, None]
        return np.where(marked, np.maximum(covariances, 0) + floor, covariances)

    def inverse_cholesky(self, covariances):
        wrong = _singular_variances(covariances)
        factor = 1 / np.sqrt(np.where(wrong, 1.0, covariances))
        return factor, self.stacked(wrong).any(axis=1)

    def diagonal(self, factor, d):
        return self.stacked(factor)

    def conditional_variances(self, factor):
        return 1 / self.stacked(factor) ** 2

    def traces_in(self, factor, spread):
        return (self.stacked(factor) ** 2 * (spread**2).sum(axis=1)).sum(axis=1)

    def component_variances(self, params):
        return self.each(params.covariances, params.n_components)

    def variances(self, covariances, d):
        return self.stacked(covariances)

    def matrix(self, entry, d):
        return np.diag(entry)

    def full(self, params):
        return np.stack([np.diag(v) for v in self.component_variances(params)])

    def of_matrices(self, matrices):
        variances = np.diagonal(matrices, axis1=1, axis2=2).copy()
        return variances[0] if self.shared else variances

    def invert(self, covariances):
        return 1.0 / covariances

    def transposed(self, covariances):
        return covariances

    def symmetric(self, covariances):
        return covariances

    def asymmetric(self, covariances, apart):
        return np.zeros(len(self.stacked(covariances)), bool)

    def precisions(self, factor):
        return factor**2, factor

    def squared(self, factors):
        return factors**2

    def apart(self, covariances, precisions):
        return np.abs(precisions * covariances - 1)


class OneVariance(Variances):
    """A covariance is one variance, the same in all directions."""

    layout = "variance"

    def entry_shape(self, d):
        return ()

    def entry_parameters(self, d):
        return 1

    def order(self, d):
        return 0

    def unit(self, d):
        return np.ones(()) if self.shared else np.ones(1)

    def moments(self, centred, weights):
        return super().moments(centred, weights).sum(axis=-1)

    def square(self, delta):
        return delta @ delta

    def squares(self, deltas):
        return (deltas**2).sum(axis=1)

    def of_moment(self, moment, d):
        return moment / d

    def added(self, reg_covar):
        return np.mean(reg_covar)

    def add_to_variances(self, covariances, added):
        return covariances + np.mean(added)

    def raised(self, covariances, which, floor):
        marked = which[0] if self.shared else which
        return np.where(marked, np.maximum(covariances, 0) + floor.mean(), covariances)

    def inverse_cholesky(self, covariances):
        wrong = _singular_variances(covariances)
        return 1 / np.sqrt(np.where(wrong, 1.0, covariances)), self.stacked(wrong)

    def diagonal(self, factor, d):
        return np.repeat(self.stacked(factor)[:, None], d, axis=1)

    def conditional_variances(self, factor):
        return 1 / self.stacked(factor)[:, None] ** 2

    def traces_in(self, factor, spread):
        return (self.stacked(factor)[:, None] ** 2 * (spread**2).sum(axis=1)).sum(axis=1)

    def component_variances(self, params):
        variances = self.each(params.covariances, params.n_components)
        return np.repeat(variances[:, None], params.n_features, axis=1)

    def variances(self, covariances, d):
        return np.repeat(self.stacked(covariances)[:, None], d, axis=1)

    def matrix(self, entry, d):
        return np.diag(np.broadcast_to(entry, d))

    def of_matrices(self, matrices):
        variances = matrices[:, 0, 0].copy()
        return variances[0] if self.shared else variances


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


class Full(PerComponent, Matrices, Family):
    name, mclust_name, form = "full", "VVV", "triangular"
    structure = structures.FULL


class Tied(Shared, Matrices, Family):
    name, mclust_name, form = "tied", "EEE", "whitened"
    structure = structures.TIED

    def least_rows(self, k, d):
        return k + d

    def scatter(self, stats, delta):
        between = (stats.n_k[:, None] * delta).T @ delta
        return (stats.s2 - between) / stats.total_weight

    def estimate(self, scatter, n_k, previous):
        return self.symmetric(scatter)  # of what cancels, the rounding is not


class Diag(PerComponent, Variances, Family):
    name, mclust_name, form = "diag", "VVI", "diagonal"
    structure = structures.DIAG


class Spherical(PerComponent, OneVariance, Family):
    name, mclust_name, form = "spherical", "VII", "diagonal"
    structure = structures.SPHERICAL


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


def surveying(family):
    """The family that looks at data which is going to be fitted, by the same kernel.

    Others than those of the triangular one would give traces, or a matrix not asked for.
    """
    return family if family.form == "triangular" else FAMILIES["diag"]
