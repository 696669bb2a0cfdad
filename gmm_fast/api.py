"""The Python face of model search and model files, in terms of `GaussianMixture`."""

import warnings
from dataclasses import dataclass, field

from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from . import criteria, em, fitting, init, selection
from .arguments import check_parameters, memory_bytes, seed_of
from .backends import check_weights
from .errors import DataError
from .estimator import GaussianMixture
from .modelfile import check_facts, read_model, write_model
from .regularisation import swamp_events


@dataclass(frozen=True, eq=False)
class SearchResult:
    """What `search` returns.

    Attributes
    ----------
    table : list of dict
        One row per candidate: n_components, covariance_type, log_likelihood, n_parameters, bic,
        aic, icl, silhouette, n_iter, converged, stop_reason, events.
    best : GaussianMixture
        The best candidate, fitted.
    criterion : str
    models : list of GaussianMixture
        All candidates, in the order of `table`.
    """

    table: list = field(repr=False)
    best: GaussianMixture
    criterion: str
    models: list = field(repr=False)


def search(
    X,
    lo,
    hi,
    *,
    covariance=("full",),
    criterion="bic",
    tol=1e-3,
    reg_covar="auto",
    max_iter=100,
    n_init=1,
    init_params="auto",
    random_state=0,
    silhouette_rows=criteria.SILHOUETTE_ROWS,
    sample_weight=None,
    dtype=None,
    threads=None,
    memory=None,
):
    """Fit every number of components from `lo` to `hi` in every family, and choose.

    Parameters
    ----------
    X : (n, d) array-like, table, Dask array, path, or what `open_source` returns
    lo, hi : int
        Lowest and highest number of components.
    covariance : str or sequence of str
        Families to try.
    criterion : {'bic', 'aic', 'icl', 'silhouette'}
    tol, reg_covar, max_iter, n_init, init_params, dtype, threads, memory
        As for `GaussianMixture`.
    random_state : int, RandomState or None
        One seed for all candidates; a RandomState or None gives it.
    silhouette_rows : int
        Rows of the sample on which silhouettes are measured; 0 for none.
    sample_weight : (n,) array-like, optional

    Returns
    -------
    SearchResult

    Raises
    ------
    DataError
        A ValueError: the data or a parameter is wrong.
    FitError
        A RuntimeError: no candidate has a value of `criterion`.

    Warns
    -----
    ConvergenceWarning
        The best candidate reached `max_iter`; of the others `table` tells.
    UserWarning
        `reg_covar` is a number that is not small beside the variance of a feature.

    Examples
    --------
    >>> import numpy as np
    >>> from gmm_fast import search
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(0, 1, (200, 2)), rng.normal(9, 1, (100, 2))])
    >>> found = search(X, 1, 4, covariance=["full", "spherical"])
    >>> found.best
    GaussianMixture(covariance_type='spherical', n_components=2, random_state=0)
    >>> len(found.models), found.table[0]["n_components"]
    (8, 1)
    """
    families = _families(covariance)
    selection.check_search(lo, hi, families, criterion, silhouette_rows=silhouette_rows)
    shared = {
        "tol": tol,
        "reg_covar": reg_covar,
        "max_iter": max_iter,
        "n_init": n_init,
        "init_params": init_params,
        "random_state": seed_of(random_state),
        "dtype": dtype,
        "threads": threads,
        "memory": memory,
    }
    settings = check_parameters(GaussianMixture(**shared))
    promise = memory_bytes(memory)
    source = fitting.open_data(X, promise)
    selection.check_search(lo, hi, families, criterion, source.n_samples)
    weights = check_weights(sample_weight, source.n_samples)
    backend, _, events = fitting.open_backend(
        source,
        families,
        range(lo, hi + 1),
        dtype=dtype,
        weights=weights,
        threads=threads,
        memory=promise,
        silhouette_rows=silhouette_rows,
    )
    for event in swamp_events(settings.reg_covar, backend.survey()):
        warnings.warn(event, stacklevel=2)
    table = selection.search(
        backend,
        lo,
        hi,
        families,
        criterion,
        init.Start(init_params, int(n_init), shared["random_state"]),
        settings,
        silhouette_rows=silhouette_rows,
    )
    models = []
    for candidate in table.candidates:
        candidate.result.events[:0] = events
        models.append(GaussianMixture.from_result(candidate.result, **shared))
    best = models[table.candidates.index(table.best)]
    if not best.converged_ and max_iter:
        warnings.warn(
            f"EM of the best candidate did not converge in {max_iter} iterations; raise "
            "max_iter, or tol",
            ConvergenceWarning,
            stacklevel=2,
        )
    rows = [selection.candidate_row(c) for c in table.candidates]
    return SearchResult(rows, best, criterion, models)


def _families(covariance):
    """Names of families as a list, from one name or several."""
    try:
        names = [covariance] if isinstance(covariance, str) else list(covariance)
    except TypeError:
        names = [covariance]
    if not all(isinstance(name, str) for name in names):
        raise DataError(f"covariance must be one or more names of families, not {covariance!r}")
    return names


def save(model, path):
    """Write a fitted model to a file, whole or not at all.

    Parameters
    ----------
    model : GaussianMixture
        What its fit found is written, not the parameters of its constructor.
    path : str or path
        A ``.npz``, which `load` and the command line read.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        The model was not fitted.
    FitError, DataError
        The file cannot be written.
    """
    check_is_fitted(model, "result_")
    write_model(path, model.result_.params, model.result_.facts())


def load(path):
    """Read a model file written by `save` or by the command line.

    Returns
    -------
    GaussianMixture
        Fitted: it predicts, scores and samples.

    Raises
    ------
    ModelFileError
        A ValueError: not a model file, of another version, or damaged.
    """
    params, facts = read_model(path)
    check_facts(facts, params.n_features, path)
    return GaussianMixture.from_result(em.FitResult.from_facts(params, facts))
