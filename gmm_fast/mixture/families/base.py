"""What a family answers for itself, and whose a covariance is."""

import numpy as np

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
    determined : bool
        Whether covariances tell the scatter that they were estimated from.
    shared : bool
        Whether all components have one covariance.
    layout : str
        How a covariance is kept: matrices, variances (of each feature) or variance (of all).
    """

    name: str
    mclust_name: str
    form: str
    structure: int | None = None
    determined: bool = True
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

        Linear in S2, entry by entry.

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
        previous : float64 or None
            Covariances of the last iteration, for families whose M-step iterates; None at a start.
        """
        return scatter

    def raised_scatter(self, stats, delta, added):
        """The `scatter` with as much added to variances."""
        return self.add_to_variances(self.scatter(stats, delta), added)

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

    def scatter(self, stats, delta):
        between = self.sum_of_squares(stats.n_k, delta)
        return self.of_moment((stats.s2 - between) / stats.total_weight, delta.shape[1])

    def collect(self, moments):
        return moments.sum(axis=0)
