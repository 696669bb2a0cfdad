"""Finds where EM starts: by a search, scikit-learn's methods, given values or labels."""

import numpy as np

from ..backends import count_positive
from ..backends.threads import serial_blas
from ..errors import DataError
from .judge import Judge
from .named_starts import named_start
from .optimum import Found, Search, Shared, winner_events
from .partition import check_labels, params_of_parts, partition
from .race import LEG, best_start
from .seeding import Seeder
from .starting import apply_given


@serial_blas()
def initial_params(backend, n_components, covariance_type, start, settings, shared=None):
    """The parameters that EM starts from.

    Parameters
    ----------
    backend : Backend
    n_components : int
    covariance_type : str
    start : Start
    settings : em.Settings
    shared : Shared, optional
        Created here by default.

    Returns
    -------
    Found

    Raises
    ------
    DataError
        Fewer samples than components, or given values of the wrong shape.
    """
    check_counts(backend, n_components)
    settings = settings.for_data(backend, covariance_type)
    if start.labels is not None:
        params = _from_labels(backend, start.labels, n_components, covariance_type, settings)
        return Found(apply_given(params, start), [])
    shared = Shared(backend, start) if shared is None else shared
    if start.method != "auto":
        return _named(shared, n_components, covariance_type, settings)
    return Search(shared, n_components, covariance_type, settings).find()


def _named(shared, n_components, covariance_type, settings):
    """The best of `n_init` starts by the scikit-learn method that `start` names."""
    start, events = shared.start, []
    sample = shared.sample(n_components)
    seeder = Seeder(sample, shared.backend.threads, events)
    rng = np.random.RandomState(start.seed % 2**32)
    candidates = []
    for _ in range(1 if start.complete else start.n_init):
        how = n_components, covariance_type, settings.added_variance, rng
        candidates.append(apply_given(named_start(start.method, seeder, *how), start))
    if len(candidates) == 1:
        return Found(candidates[0], events)
    part = shared.part(n_components, covariance_type)[0]
    judge = Judge(shared.over(part), covariance_type, settings)
    legs = (LEG, None) if settings.max_iter else (0, 0)
    winner, _ = best_start(judge, candidates, shared.backend.threads, *legs)
    return Found(winner.run.params, winner_events(events, winner, start))


def check_counts(backend, n_components):
    """Raise DataError unless 1 <= n_components <= samples of positive weight."""
    if n_components < 1:
        raise DataError(f"the number of components must be at least 1, not {n_components}")
    if backend.n_samples < n_components:
        raise DataError(
            f"{backend.name}: {backend.n_samples} samples are fewer than "
            f"{n_components} components; ask for at most {backend.n_samples}"
        )
    if backend.weights is not None and (used := count_positive(backend.weights)) < n_components:
        raise DataError(
            f"{backend.name}: {used} samples of positive weight are fewer than "
            f"{n_components} components; ask for at most {used}"
        )


def _from_labels(backend, labels, n_components, covariance_type, settings):
    labels = check_labels(labels, backend.n_samples, n_components)
    weights = np.ones(backend.n_samples) if backend.weights is None else backend.weights
    chunks = backend.data_chunks()
    parts = partition(chunks, labels, weights, n_components, covariance_type)
    return params_of_parts(parts, covariance_type, settings.added_variance)
