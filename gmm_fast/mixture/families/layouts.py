"""Mixins for how a covariance is stored: as a matrix, as variances, as one variance.

An entry is one stored covariance, without the axis of components.
"""

import numpy as np

from .factors import inverse_cholesky


class Matrices:
    """Mixin: a covariance is a matrix, (d, d)."""

    layout = "matrices"

    def entry_shape(self, d):
        return d, d

    def entry_parameters(self, d):
        """Free parameters of one covariance."""
        return d * (d + 1) // 2

    def entry_rows(self, d):
        """Samples that determine one covariance."""
        return d + 1

    def order(self, d):
        """Order of the matrix that each component estimates by itself."""
        return 0 if self.shared else d

    def unit(self, d):
        """Covariances of one component with variances of 1 and no correlations."""
        return np.eye(d) if self.shared else np.eye(d)[None]

    def moments(self, centred, weights):
        """`Stats.s2` of one component with all samples, x - mu (n, d), and weights (n,)."""
        if self.shared:
            return (weights[:, None] * centred).T @ centred
        return ((weights[:, None] * centred).T @ centred)[None]

    def second_moment(self, stats):
        """Sum of w (x - mu)(x - mu)' of one component's `stats`, or its diagonal or trace."""
        return stats.s2 if self.shared else stats.s2[0]

    def square(self, delta):
        """The `second_moment` of one sample of weight 1 at mu + `delta`, (d,)."""
        return np.outer(delta, delta)

    def squares(self, deltas):
        """`square` of each of (K, d)."""
        return deltas[:, :, None] * deltas[:, None, :]

    def sum_of_squares(self, weights, deltas):
        """Weighted sum of `squares`."""
        return (weights[:, None] * deltas).T @ deltas

    def of_moment(self, moment, d):
        """A covariance from the mean `second_moment` of a sample."""
        return moment

    def moment_variances(self, moment):
        """The variances of the features, (d,), from the same."""
        return np.diagonal(moment)

    def added(self, reg_covar):
        """What is added to variances: the mean, if all features have one variance."""
        return reg_covar

    def add_to_variances(self, covariances, added):
        """`covariances`, which may be overwritten, plus `added`, a number or (d,)."""
        d = covariances.shape[-1]
        covariances = np.ascontiguousarray(covariances)
        covariances.reshape(-1, d * d)[:, :: d + 1] += added  # the diagonals
        return covariances

    def raise_variances(self, covariances, which, floor):
        """`covariances` with `floor` (d,) added to the variances of those in `which`."""
        marked = which[0] if self.shared else which[:, None, None]
        return covariances + marked * np.diag(floor)

    def inverse_cholesky(self, covariances):
        """Inverse Cholesky factors, and which covariances are numerically singular.

        Returns
        -------
        factor : float64
            L^-1, lower triangular, (K, d, d) or (d, d); its diagonal (K, d) for diag; 1 / sigma
            (K,) for spherical. Entries of singular ones are not meaningful.
        singular : (K,) or (1,) bool
        """
        factor, singular = inverse_cholesky(self.as_stack(covariances))
        return (factor[0] if self.shared else factor), singular

    def diagonal(self, factor, d):
        """Diagonals of the factors from `inverse_cholesky`, (M, d)."""
        return np.diagonal(self.as_stack(factor), axis1=1, axis2=2)

    def conditional_variances(self, factor):
        """Variance of each feature given the others, (M, d) or (M, 1).

        `factor` comes from `inverse_cholesky`.
        """
        return 1 / (self.as_stack(factor) ** 2).sum(axis=1)

    def traces_in(self, factor, spread):
        """tr(S inv(Sigma)) of each covariance, (M,), where S = spread spread' (d, d)."""
        return np.atleast_1d(((factor @ spread) ** 2).sum(axis=(-2, -1)))

    def component_variances(self, params):
        """Variances of each component in each feature, (K, d)."""
        variances = np.diagonal(params.covariances, axis1=-2, axis2=-1)
        return np.tile(variances, (params.n_components, 1)) if self.shared else variances

    def variances(self, covariances, d):
        """Variances of each covariance in each feature, (M, d)."""
        return np.diagonal(self.as_stack(covariances), axis1=1, axis2=2)

    def matrix(self, entry, d):
        """An entry as a matrix, (d, d)."""
        return entry

    def full(self, params):
        """Covariances as one (K, d, d) array, whatever the family."""
        if self.shared:
            return np.tile(params.covariances, (params.n_components, 1, 1))
        return params.covariances

    def of_matrices(self, matrices):
        """Covariances from the matrices of `full`, or from one shared matrix (1, d, d)."""
        return matrices[0] if self.shared else matrices

    def invert(self, covariances):
        """Precisions of covariances, or covariances of precisions."""
        return np.linalg.inv(covariances)

    def transpose(self, covariances):
        """The transposed covariances."""
        return np.swapaxes(covariances, -1, -2)

    def symmetric(self, covariances):
        """The covariances without asymmetric rounding."""
        return 0.5 * (covariances + self.transpose(covariances))

    def asymmetric(self, covariances, apart):
        """Which are asymmetric by more than the share `apart` of their variances, (M,) bool."""
        matrices = self.as_stack(covariances)
        scale = np.sqrt(np.abs(np.diagonal(matrices, axis1=1, axis2=2)))
        off = np.abs(matrices - self.transpose(matrices))
        return (off > apart * scale[:, :, None] * scale[:, None, :]).any(axis=(1, 2))

    def precisions(self, factor):
        """Precisions and their upper Cholesky factors U, from `inverse_cholesky`'s factors."""
        upper = np.ascontiguousarray(self.transpose(factor))
        return upper @ factor, upper

    def square_factors(self, factors):
        """Precisions from their Cholesky factors in scikit-learn's layout."""
        return factors @ self.transpose(factors)

    def apart(self, covariances, precisions):
        """How far products of covariances and precisions are from the identity, free of units."""
        scale = np.sqrt(np.abs(np.diagonal(covariances, axis1=-2, axis2=-1)))
        product = (precisions @ covariances) * scale[..., :, None] / scale[..., None, :]
        return np.abs(product - np.eye(precisions.shape[-1]))


class Variances:
    """Mixin: a covariance is the variance of each feature, (d,)."""

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

    def sum_of_squares(self, weights, deltas):
        return weights @ self.squares(deltas)

    def of_moment(self, moment, d):
        return moment

    def moment_variances(self, moment):
        return moment

    def added(self, reg_covar):
        return reg_covar

    def add_to_variances(self, covariances, added):
        return covariances + added

    def raise_variances(self, covariances, which, floor):
        marked = which[0] if self.shared else which[:, None]
        return np.where(marked, np.maximum(covariances, 0) + floor, covariances)

    def inverse_cholesky(self, covariances):
        wrong = _singular_variances(covariances)
        factor = 1 / np.sqrt(np.where(wrong, 1.0, covariances))
        return factor, self.as_stack(wrong).any(axis=1)

    def diagonal(self, factor, d):
        return self.as_stack(factor)

    def conditional_variances(self, factor):
        return 1 / self.as_stack(factor) ** 2

    def traces_in(self, factor, spread):
        return (self.as_stack(factor) ** 2 * (spread**2).sum(axis=1)).sum(axis=1)

    def component_variances(self, params):
        return self.each(params.covariances, params.n_components)

    def variances(self, covariances, d):
        return self.as_stack(covariances)

    def matrix(self, entry, d):
        return np.diag(entry)

    def full(self, params):
        return np.stack([np.diag(v) for v in self.component_variances(params)])

    def of_matrices(self, matrices):
        variances = np.diagonal(matrices, axis1=1, axis2=2).copy()
        return variances[0] if self.shared else variances

    def invert(self, covariances):
        return 1.0 / covariances

    def transpose(self, covariances):
        return covariances

    def symmetric(self, covariances):
        return covariances

    def asymmetric(self, covariances, apart):
        return np.zeros(len(self.as_stack(covariances)), bool)

    def precisions(self, factor):
        return factor**2, factor

    def square_factors(self, factors):
        return factors**2

    def apart(self, covariances, precisions):
        return np.abs(precisions * covariances - 1)


class OneVariance(Variances):
    """Mixin: a covariance is one variance, the same in all directions."""

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

    def raise_variances(self, covariances, which, floor):
        marked = which[0] if self.shared else which
        return np.where(marked, np.maximum(covariances, 0) + floor.mean(), covariances)

    def inverse_cholesky(self, covariances):
        wrong = _singular_variances(covariances)
        return 1 / np.sqrt(np.where(wrong, 1.0, covariances)), self.as_stack(wrong)

    def diagonal(self, factor, d):
        return np.repeat(self.as_stack(factor)[:, None], d, axis=1)

    def conditional_variances(self, factor):
        return 1 / self.as_stack(factor)[:, None] ** 2

    def traces_in(self, factor, spread):
        return (self.as_stack(factor)[:, None] ** 2 * (spread**2).sum(axis=1)).sum(axis=1)

    def component_variances(self, params):
        variances = self.each(params.covariances, params.n_components)
        return np.repeat(variances[:, None], params.n_features, axis=1)

    def variances(self, covariances, d):
        return np.repeat(self.as_stack(covariances)[:, None], d, axis=1)

    def matrix(self, entry, d):
        return np.diag(np.broadcast_to(entry, d))

    def of_matrices(self, matrices):
        variances = matrices[:, 0, 0].copy()
        return variances[0] if self.shared else variances


def _singular_variances(variances):
    return ~(np.isfinite(variances) & (variances > 0))
