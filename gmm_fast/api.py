"""The Python face of model search and model files, in terms of `GaussianMixture`."""

from dataclasses import dataclass

from . import criteria, em, fitting, init, selection
from .backends import check_weights
from .estimator import GaussianMixture
from .modelfile import read_model, write_model
from .sources import open_source


@dataclass(frozen=True)
class SearchResult:
    """What `search` returns.

    Attributes
    ----------
    table : list of dict
        One row per candidate: n_components, covariance_type, log_likelihood, n_parameters, bic,
        aic, icl, silhouette, n_iter, converged.
    best : GaussianMixture
        The best candidate, fitted.
    criterion : str
    models : list of GaussianMixture
        All candidates, in the order of `table`.
    """

    table: list
    best: GaussianMixture
    criterion: str
    models: list


def search(
    X,
    lo,
    hi,
    *,
    covariance=("full",),
    criterion="bic",
    tol=1e-3,
    reg_covar=1e-6,
    max_iter=100,
    n_init=1,
    init_params="auto",
    random_state=0,
    silhouette_rows=criteria.SILHOUETTE_ROWS,
    sample_weight=None,
    dtype=None,
    threads=None,
):
    """Fit every number of components from `lo` to `hi` in every family, and choose.

    Parameters
    ----------
    X : (n, d) array-like, or path of a ``.npy``
    lo, hi : int
        Lowest and highest number of components.
    covariance : str or sequence of str
        Families to try.
    criterion : {'bic', 'aic', 'icl', 'silhouette'}
    tol, reg_covar, max_iter, n_init, init_params, dtype, threads
        As for `GaussianMixture`.
    random_state : int
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
    """
    families = [covariance] if isinstance(covariance, str) else list(covariance)
    selection.check_search(lo, hi, families, criterion)
    start = init.Start(method=init_params, n_init=n_init, seed=random_state)
    source = open_source(X)
    weights = check_weights(sample_weight, source.n_samples)
    backend, _, events = fitting.open_backend(
        source, families, dtype=dtype, weights=weights, threads=threads
    )
    table = selection.search(
        backend,
        lo,
        hi,
        families,
        criterion,
        start,
        em.Settings(tol, max_iter, reg_covar),
        silhouette_rows=silhouette_rows,
    )
    shared = {
        "tol": tol,
        "reg_covar": reg_covar,
        "max_iter": max_iter,
        "n_init": n_init,
        "init_params": init_params,
        "random_state": random_state,
        "dtype": dtype,
        "threads": threads,
    }
    models = []
    for candidate in table.candidates:
        candidate.result.events[:0] = events
        models.append(GaussianMixture.from_result(candidate.result, **shared))
    best = models[table.candidates.index(table.best)]
    return SearchResult(
        [selection.candidate_row(c) for c in table.candidates], best, criterion, models
    )


def save(model, path):
    """Write a fitted `GaussianMixture` to a model file (a ``.npz``), atomically."""
    result = model.result_
    write_model(path, result.params, result.facts())


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
    return GaussianMixture.from_result(em.FitResult.from_facts(params, facts))
