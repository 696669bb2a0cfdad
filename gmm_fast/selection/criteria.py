"""Measure how good a fit is: BIC, AIC, ICL and the silhouette."""

from typing import NamedTuple

import numpy as np

from ..backends import backend_over
from ..backends.threads import share_out
from ..kernels import pairs
from ..text import LONGEST

# Criteria that are better when higher; "cv" is the mean log-likelihood of held-out samples.
HIGHER = ("silhouette", "cv")
SILHOUETTE_ROWS = 10_000
# Sums of distances held at a time; labelings that need more are measured in batches.
SUMS_BYTES = 64 * 2**20


def label_of(criterion):
    """The name of a criterion in tables and messages."""
    return criterion if criterion == "silhouette" else criterion.upper()


def in_words(criterion, value):
    """A value of a criterion, or a difference of two, as text with its usual decimals."""
    if abs(value) >= LONGEST:
        return f"{value:.6g}"
    return f"{value:,.4f}" if criterion in HIGHER else f"{value:,.1f}"


def n_parameters(params):
    """Number of free parameters of a mixture."""
    family = params.family
    return family.n_parameters(params.n_components, params.n_features)


class Likelihood(NamedTuple):
    """The part of a result that `bic` and `aic` need when the number of parameters is given."""

    log_likelihood: float
    total_weight: float


def bic(result, p=None):
    """-2 LL + p ln n (Schwarz 1978), with n the sum of the weights; mclust prints the negative.

    p is the number of free parameters, by default that of the family.
    """
    p = n_parameters(result.params) if p is None else p
    return -2 * result.log_likelihood + p * float(np.log(result.total_weight))


def aic(result, p=None):
    """-2 LL + 2 p (Akaike 1974); p as for `bic`."""
    return -2 * result.log_likelihood + 2 * (n_parameters(result.params) if p is None else p)


def icl(result, p=None):
    """BIC - 2 sum w ln max_k r (Biernacki, Celeux & Govaert 2000, with hard assignments)."""
    return bic(result, p) - 2 * result.log_max_resp


def likelihood_facts(result):
    """The likelihood and all criteria but the silhouette, by their names in JSON."""
    return {
        "log_likelihood": result.log_likelihood,
        "mean_log_likelihood": result.mean_log_likelihood,
        "n_parameters": n_parameters(result.params),
        "bic": bic(result),
        "aic": aic(result),
        "icl": icl(result),
    }


def silhouette_bytes(rows, n_features, families, numbers):
    """Bytes that silhouettes on `rows` rows take, for all families and numbers of components."""
    n_components = len(families) * sum(numbers)
    return 8 * rows * 4 * n_features + 3 * min(8 * rows * n_components, SUMS_BYTES)


class SilhouetteSample:
    """A sample of rows for silhouettes, the same for every labeling.

    Parameters
    ----------
    backend : Backend
    rows : int
        Limit on the rows, which are drawn uniformly without replacement.
    seed : int
    """

    def __init__(self, backend, rows=SILHOUETTE_ROWS, seed=0):
        n = backend.n_samples
        if n > rows:
            rng = np.random.default_rng([seed, 0x511])
            chosen = np.sort(rng.choice(n, rows, replace=False, shuffle=False))
        else:
            chosen = np.arange(n)
        self.x = backend.take(chosen)
        self.threads = backend.threads
        self._backend = backend_over(backend, self.x)

    def labels(self, params):
        """(m,) int32 labels of the sample under `params`."""
        return np.concatenate(
            [o.labels.copy() for _, o in self._backend.score(params, labels=True)]
        )

    def silhouettes(self, labelings):
        """Mean silhouette of each labeling; see `silhouettes`."""
        return silhouettes(self.x, labelings, self.threads)

    def silhouette_samples(self, labels):
        """Silhouette of each sample, (m,); see `silhouette_samples`."""
        return silhouette_samples(self.x, labels, self.threads)


class Silhouettes:
    """Measure silhouettes of models on one sample of the data.

    Attributes
    ----------
    n_rows : int
        Size of the sample; 0 before the first measurement.
    """

    def __init__(self, backend, rows, seed):
        self._how = backend, rows, seed
        self._sample = None

    @property
    def n_rows(self):
        return 0 if self._sample is None else len(self._sample.x)

    def of(self, models):
        """Silhouettes of models, a list of float, in one pass over the pairs; NaN for K = 1."""
        scores = [float("nan")] * len(models)
        several = [i for i, params in enumerate(models) if params.n_components > 1]
        if self._how[1] == 0 or not several:
            return scores
        if self._sample is None:
            self._sample = SilhouetteSample(*self._how)
        labels = [self._sample.labels(models[i]) for i in several]
        for i, score in zip(several, self._sample.silhouettes(labels), strict=True):
            scores[i] = score
        return scores


def silhouettes(x, labelings, threads):
    """Mean silhouette of each labeling of the same samples (Rousseeuw 1987), Euclidean.

    Parameters
    ----------
    x : (m, d) float64
    labelings : list of (m,) int
    threads : int

    Returns
    -------
    list of float
        NaN for a labeling with fewer than two clusters, or with as many as samples.
    """
    return [float(values.mean()) for values in _samples(x, labelings, threads)]


def silhouette_samples(x, labels, threads):
    """Silhouette of each sample (Rousseeuw 1987), by Euclidean distance.

    Parameters
    ----------
    x : (m, d) float64
    labels : (m,) int
    threads : int

    Returns
    -------
    (m,) float64
        NaN for fewer than two clusters, or as many as samples; 0 for the only sample of a cluster.
    """
    return next(_samples(x, [labels], threads))


def _samples(x, labelings, threads):
    """Yield the silhouettes of the samples, (m,), for each labeling."""
    if not labelings:
        return
    m = len(x)
    columns = np.pad(np.ascontiguousarray(x.T), ((0, 0), (0, -m % pairs.ROWS)))
    counts = np.array([int(labels.max()) + 1 for labels in labelings])
    # as many labelings at once as there is room for their sums of distances
    at_once = max(1, SUMS_BYTES // (8 * columns.shape[1] * int(counts.max())))
    for first in range(0, len(labelings), at_once):
        some, sizes = labelings[first : first + at_once], counts[first : first + at_once]
        ends = np.cumsum(sizes)
        clusters = np.stack(some, axis=1).astype(np.int64) + (ends - sizes)
        sums = np.empty((columns.shape[1], ends[-1]))

        def add(start, stop, clusters=clusters, total=int(ends[-1]), sums=sums):
            pairs.cluster_distance_sums(start, stop, columns, clusters, total, sums)

        share_out(add, columns.shape[1], pairs.ROWS, threads, 0.5 * m * m * (len(columns) + 4))
        for labels, size, end in zip(some, sizes, ends, strict=True):
            yield _silhouettes_of(sums[:m, end - size : end], labels)


def _silhouettes_of(sums, labels):
    """Silhouettes from sums of distances to each cluster, (m, clusters), and labels, (m,)."""
    sizes = np.bincount(labels, minlength=sums.shape[1])
    if not 1 < np.count_nonzero(sizes) < len(labels):
        return np.full(len(labels), np.nan)
    rows = np.arange(len(labels))
    own_size = sizes[labels]
    own = sums[rows, labels] / np.maximum(own_size - 1, 1)
    means = np.where(sizes > 0, sums / np.maximum(sizes, 1), np.inf)
    means[rows, labels] = np.inf
    other = means.min(axis=1)
    widest = np.maximum(own, other)
    return np.where(
        (own_size > 1) & (widest > 0), (other - own) / np.where(widest > 0, widest, 1), 0
    )
