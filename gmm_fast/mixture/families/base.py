"""Base class of the covariance families, and mixins for separate and shared covariances."""

import numpy as np

# Responsibilities that sum to this share of a number of rows count as that many: rounding.
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
        Its M-step in the kernel of short runs, one of `kernels.structures`; if None, `em.fit` makes
        short runs.
    determined : bool
        Whether covariances determine the scatter that they were estimated from.
    shared : bool
        Whether all components share one covariance.
    layout : str
        How a covariance is stored: matrices, variances (of each feature) or variance (of all).
    """

    name: str
    mclust_name: str
    form: str
    structure: int | None = None
    determined: bool = True
    shared: bool
    layout: str

    # Sizes --------------------------------------------------------------------------------------

    @property
    def matrices(self):
        """Whether features may be correlated."""
        return self.layout == "matrices"

    def n_covariances(self, k):
        """Number of covariances of k components."""
        return 1 if self.shared else k

    def n_matrices(self, k):
        """Number of covariance matrices of k components."""
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
        """Samples that a component needs for a nonsingular covariance."""
        return 1 if self.shared else self.entry_rows(d)

    def least_rows(self, k, d):
        """Fewest rows that determine k means and all covariances."""
        return k * self.directions(d)

    def undecided(self, rows, d):
        """Which covariances have too few rows to determine them, (K,) or (1,) bool.

        `rows`, (K,), is how many each component is responsible for.
        """
        if self.shared:
            return np.array([rows.sum() < NEARLY * self.least_rows(len(rows), d)])
        return rows < NEARLY * self.least_rows(1, d)

    # The M-step ---------------------------------------------------------------------------------

    def scatter(self, stats, delta):
        """Mean moments about the new means, S2 / N - delta delta', of each covariance.

        Linear in S2, entry by entry.

        Parameters
        ----------
        stats : Stats
        delta : (K, d) float64
            New means less the means of `stats`.
        """
        raise NotImplementedError

    def estimate(self, scatter, n_k, previous):
        """The maximum-likelihood covariances for `scatter`, often `scatter` itself.

        Parameters
        ----------
        scatter : float64
            As `scatter` returns it; may be overwritten.
        n_k : (K,) float64
        previous : float64 or None
            Covariances of the last iteration, for families with an iterative M-step; None at a
            start.
        """
        return scatter

    def scatter_with(self, stats, delta, added):
        """The `scatter` with `added` added to variances."""
        return self.add_to_variances(self.scatter(stats, delta), added)

    def covariances(self, stats, delta, reg_covar, previous=None):
        """The M-step: the `estimate` from the `scatter`, plus `reg_covar` on the diagonal.

        Parameters
        ----------
        stats : Stats
        delta : (K, d) float64
            New means less the means of `stats`.
        reg_covar : float or (d,) array
            A family with one variance for all features adds the mean.
        previous : float64, optional
        """
        found = self.estimate(self.scatter(stats, delta), stats.n_k, previous)
        return self.add_to_variances(found, reg_covar)


class PerComponent:
    """Mixin: each component has its own covariance."""

    shared = False

    def as_stack(self, covariances):
        """The M covariances along the first axis, (M, ...)."""
        return covariances

    def each(self, covariances, k):
        """The covariance of each of k components, along the first axis."""
        return covariances

    def within(self, covariances, weights):
        """The weighted mean of the covariances, an entry."""
        return np.tensordot(weights, covariances, 1)

    def take(self, covariances, order):
        """The covariances of the components in `order`."""
        return covariances[order]

    def put(self, covariances, k, entry):
        """Write the covariance of component k; a shared one stays, EM adapts it."""
        covariances[k] = entry

    def keep(self, covariances, old, which):
        """Restore the `old` covariances of the components in `which`, (K,) bool."""
        covariances[which] = old[which]

    def copy_covariance(self, covariances, target, source):
        """A copy of `covariances` in which component `target` has the covariance of `source`."""
        covariances = covariances.copy()
        covariances[target] = covariances[source]
        return covariances

    def pool(self, covariances, i, j, share, delta):
        """The covariance of two components merged, an entry.

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
        """`Stats.s2` from the moments of each component, (K, ...)."""
        return moments


class Shared:
    """Mixin: all components share one covariance."""

    shared = True

    def as_stack(self, covariances):
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

    def copy_covariance(self, covariances, target, source):
        return covariances

    def pool(self, covariances, i, j, share, delta):
        return covariances

    def scatter(self, stats, delta):
        between = self.sum_of_squares(stats.n_k, delta)
        return self.of_moment((stats.s2 - between) / stats.total_weight, delta.shape[1])

    def collect(self, moments):
        return moments.sum(axis=0)
