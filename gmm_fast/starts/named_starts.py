"""scikit-learn's four initialisations by name: the same rows seed the same components.

For an integer seed, and data that fits into the sample, the partitions, rows and responsibilities
are those that scikit-learn's `GaussianMixture` starts from.
"""

import warnings
from dataclasses import replace

import numpy as np
from threadpoolctl import threadpool_limits

from ..backends.threads import importing
from ..mixture.families import get_family
from .partition import params_of_parts, part_stats

# For "random": most responsibilities to draw (rows times components), and fewest rows.
MOST_RESPONSIBILITIES = 2**22
FEWEST_ROWS = 2**12


def named_start(name, seeder, n_components, covariance_type, reg_covar, rng):
    """One start by the named method.

    Parameters
    ----------
    name : {'kmeans', 'k-means++', 'random', 'random_from_data'}
    seeder : Seeder
    n_components : int
    covariance_type : str
    reg_covar : float or (d,) array
    rng : numpy.random.RandomState
        Used as scikit-learn uses it: several starts continue one stream.

    Returns
    -------
    Params
    """
    sample = seeder.sample

    def m_step(parts):
        pseudo = pseudo_weight(sample, covariance_type, parts)
        return params_of_parts(parts, covariance_type, reg_covar, pseudo)

    if name == "random":
        return m_step(_random(sample, n_components, covariance_type, rng))
    if name == "kmeans":
        labels = _kmeans(seeder, n_components, rng)
        return m_step(seeder.moments(labels, n_components, covariance_type))
    rows = _rows(name, seeder, n_components, rng)
    # scikit-learn gives each component only its row, without a covariance. Here it gets that of
    # the samples nearest to the row in whitened space, where units and correlations do not count.
    z = sample.whitened
    labels = seeder.nearest(z, z[:, rows].T.copy())
    params = m_step(seeder.moments(labels, n_components, covariance_type))
    weights = np.full(n_components, 1 / n_components)
    return replace(params, weights=weights, means=sample.x[rows])


def pseudo_weight(sample, covariance_type, parts=None):
    """Weight of pseudo-samples that keep covariances of the family from being singular.

    0 if all of `parts` have enough samples: then it is the plain M-step of the partition.
    """
    d = sample.x.shape[1]
    needed = sample.weights.mean() * max(2, get_family(covariance_type).directions(d))
    if parts is not None and all(p is not None and p.total_weight >= 2 * needed for p in parts):
        return 0.0
    return needed


def _rescale(x):
    """`x` centred and divided by a power of two: the same relative distances, without overflow."""
    x = x - x.mean(axis=0)
    return np.ldexp(x, -np.frexp(np.abs(x).max())[1])


def _kmeans(seeder, n_components, rng):
    with importing():
        from sklearn.cluster import KMeans
        from sklearn.exceptions import ConvergenceWarning

    sample = seeder.sample
    method = KMeans(n_components, n_init=1, random_state=rng)
    # on one thread: several would add up in the order in which they finish
    with threadpool_limits(1, user_api="openmp"), warnings.catch_warnings():
        # it warns of too few distinct rows, which an event reports
        warnings.simplefilter("ignore", ConvergenceWarning)
        labels = method.fit(_rescale(sample.x), sample_weight=_weights(sample)).labels_
    found = len(np.unique(labels))
    if found < n_components:
        seeder.say_few_rows(found, n_components)
    return labels.astype(np.int64)


def _rows(name, seeder, n_components, rng):
    sample = seeder.sample
    if name == "random_from_data":
        return rng.choice(len(sample.x), size=n_components, replace=False)
    with importing():
        from sklearn.cluster import kmeans_plusplus

    x = _rescale(sample.x)
    with threadpool_limits(1, user_api="openmp"):
        centers, rows = kmeans_plusplus(
            x, n_components, sample_weight=_weights(sample), random_state=rng
        )
    found = len(np.unique(centers, axis=0))
    if found < n_components:
        seeder.say_few_rows(found, n_components)
    return rows


def _random(sample, n_components, covariance_type, rng):
    """Moments under uniformly drawn responsibilities."""
    m = max(FEWEST_ROWS, MOST_RESPONSIBILITIES // n_components)
    x, weights = sample.x[:m], sample.weights[:m]
    resp = rng.uniform(size=(len(x), n_components))
    resp *= (weights / resp.sum(axis=1))[:, None]
    return [part_stats(x, r, sample.mean, covariance_type) for r in resp.T]


def _weights(sample):
    return None if (sample.weights == sample.weights[0]).all() else sample.weights
