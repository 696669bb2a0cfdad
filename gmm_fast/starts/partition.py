"""Turns a partition of samples into parameters: checks its labels, takes moments and the M-step."""

import numpy as np

from ..errors import DataError
from ..mixture.families import get_family
from ..mixture.params import Params
from ..mixture.stats import Stats, merge


def check_labels(labels, n_samples, n_components):
    """Starting labels, checked, as (n,) int64.

    Raises
    ------
    DataError
        Wrong length, not integers, outside 0..K-1, or a component without samples.
    """
    try:
        labels = np.asarray(labels)
    except ValueError:
        raise DataError("labels are not an array of integers, but of several lengths") from None
    if labels.shape != (n_samples,):
        raise DataError(f"labels have shape {labels.shape}; ({n_samples},) is needed")
    if labels.dtype.kind not in "iub":
        raise DataError(f"labels must be integers, not {labels.dtype}")
    if labels.min() < 0 or labels.max() >= n_components:
        raise DataError(
            f"labels run from {labels.min()} to {labels.max()}; for {n_components} components "
            f"they must lie in 0..{n_components - 1}"
        )
    labels = labels.astype(np.int64)
    empty = np.flatnonzero(np.bincount(labels, minlength=n_components) == 0)
    if len(empty):
        raise DataError(f"labels leave component {empty[0]} without samples")
    return labels


def part_stats(x, weights, centre, covariance_type):
    """`Stats` of rows as one component, with moments about `centre` and no likelihood."""
    centred = x - centre
    total = weights.sum()
    s2 = get_family(covariance_type).moments(centred, weights)
    first = weights @ centred
    return Stats(total, np.nan, np.nan, centre[None], np.array([total]), first[None], s2)


def partition(chunks, labels, weights, n_components, covariance_type):
    """Moments of the parts of a partition, each about its own mean.

    Parameters
    ----------
    chunks : iterable of (first row, (m, d) float64)
    labels : (n,) int in 0..K-1
    weights : (n,) float64
    n_components : int
    covariance_type : str

    Returns
    -------
    list of K Stats, None for an empty part
    """
    parts = [None] * n_components
    for start, x in chunks:
        stop = start + len(x)
        chunk_labels, chunk_weights = labels[start:stop], weights[start:stop]
        order = np.argsort(chunk_labels.astype(np.min_scalar_type(n_components)), kind="stable")
        ends = np.cumsum(np.bincount(chunk_labels, minlength=n_components))
        for k, rows in enumerate(np.split(order, ends[:-1])):
            part, part_weights = x[rows], chunk_weights[rows]
            total = part_weights.sum()
            if not total > 0:
                continue
            # weighted, so that outliers of weight zero do not count
            centre = part_weights @ part / total if parts[k] is None else parts[k].means[0]
            stats = part_stats(part, part_weights, centre, covariance_type)
            parts[k] = stats if parts[k] is None else merge(parts[k], stats)
    return parts


def params_of_parts(parts, covariance_type, reg_covar, pseudo_weight=0.0):
    """The M-step of a partition.

    Parameters
    ----------
    parts : list of Stats or None
        One component each; None is an empty part and gets weight 0.
    covariance_type : str
    reg_covar : float or (d,) array
    pseudo_weight : float
        Weight of pseudo-samples that shrink each covariance towards the pooled one. A part of few
        samples has a (nearly) singular covariance, a start that EM rarely leaves; a large part
        hardly changes.
    """
    family = get_family(covariance_type)
    filled = [p for p in parts if p is not None]
    total = sum(p.total_weight for p in filled)
    overall = sum(p.means[0] * p.total_weight + p.s1[0] for p in filled) / total
    n_k = np.array([0.0 if p is None else p.total_weight for p in parts])
    means = np.tile(overall, (len(parts), 1))
    s2 = np.zeros((len(parts), *np.shape(family.second_moment(filled[0]))))
    for k, p in enumerate(parts):
        if p is not None:
            delta = p.s1[0] / p.total_weight
            means[k] = p.means[0] + delta
            s2[k] = family.second_moment(p) - p.total_weight * family.square(delta)
    if family.shared:
        s2, divisor = family.collect(s2), n_k
    else:
        with np.errstate(over="ignore"):  # `Rescue` reports what is not finite
            s2 = s2 + pseudo_weight * s2.sum(axis=0) / total
        divisor = np.where(n_k + pseudo_weight > 0, n_k + pseudo_weight, 1.0)
    stats = Stats(total, np.nan, np.nan, means, divisor, np.zeros(means.shape), s2)
    covariances = family.covariances(stats, stats.s1, reg_covar)
    return Params(n_k / total, means, covariances, covariance_type)
