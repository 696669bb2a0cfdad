"""`search`, `save` and `load` in terms of `GaussianMixture`."""

import warnings
from dataclasses import dataclass, field

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from .. import em, fitting
from ..em.regularisation import swamp_events
from ..errors import DataError
from ..files.modelfile import check_facts, read_model, write_model
from ..log import log_events, verbose_logger
from ..mixture.families import FAMILIES
from ..mixture.resolution import check_steps
from ..selection import criteria, grid
from ..selection.choice import candidate_row
from ..selection.criteria import HIGHER
from ..selection.searching import Logged
from ..starts import starting
from .arguments import check_parameters, memory_bytes, seed_of, weights_of
from .gaussian_mixture import GaussianMixture
from .recipe import Recipe


@dataclass(frozen=True, eq=False)
class SearchResult:
    """The result of `search`.

    Attributes
    ----------
    table : list of dict
        One row per candidate: n_components, covariance_type, log_likelihood, n_parameters, bic,
        aic, icl, silhouette, cv and its standard error cv_se (None without cross-validation),
        n_iter, converged, stop_reason, effort (of the search for the optimum), moves (local moves
        that it tried), events, failure (None, or why the candidate could not be fitted: then it
        has no numbers).
    best : GaussianMixture
        The best candidate, fitted.
    criterion : str
    models : list of GaussianMixture
        All candidates, in the order of `table`; None for one that could not be fitted.
    margin : float or None
        How much worse the runner-up is, in units of the criterion; None without a runner-up.
    runner_up : GaussianMixture or None
    warnings : list of str
        Why the choice is doubtful: events of the best fit (components that collapsed, died or
        have too few rows), no convergence, a best fit at the edge of the range, a slight margin.
        Events of the other candidates are in `table`.
    early_stop : int or None
        The last number of components tried, if the search ended early.
    """

    table: list = field(repr=False)
    best: GaussianMixture
    criterion: str
    models: list = field(repr=False)
    margin: float | None = field(default=None, repr=False)
    runner_up: GaussianMixture | None = field(default=None, repr=False)
    warnings: list = field(default_factory=list, repr=False)
    early_stop: int | None = field(default=None, repr=False)

    @classmethod
    def of(cls, table, events, recipe, shared):
        """The result of a `SearchTable`.

        Parameters
        ----------
        table : SearchTable
        events : list of str
            About the data; put before those of each fit.
        recipe : Recipe
        shared : dict
            Parameters that all models have in common.
        """
        models = {None: None}
        for candidate in table.candidates:
            models[candidate] = None
            if candidate.result is not None:
                candidate.result.events[:0] = events
                models[candidate] = GaussianMixture.from_result(
                    candidate.result, recipe=recipe, **shared
                )
        return cls(
            [candidate_row(c) for c in table.candidates],
            models[table.best],
            table.criterion,
            [models[c] for c in table.candidates],
            table.margin,
            models[table.runner_up],
            table.warnings,
            table.stopped_at,
        )


def search(
    X,
    n_components,
    *,
    covariance=("full",),
    criterion="bic",
    folds=None,
    early_stop=False,
    tol=1e-3,
    reg_covar="auto",
    resolution="auto",
    max_iter=100,
    n_init=1,
    effort=1.0,
    init_params="auto",
    random_state=0,
    silhouette_rows=criteria.SILHOUETTE_ROWS,
    sample_weight=None,
    dtype=None,
    threads=None,
    memory=None,
    verbose=0,
):
    """Fit several numbers of components in every family, and choose the best.

    Each candidate ends at least as high as a fit of it alone with the same seed. If the likelihood
    falls from one K to the next, and there are enough samples (5 for each component and feature),
    the larger one also starts from the smaller one's solution. Candidates within 20 of the best
    BIC, AIC or ICL are searched further. Small data is fitted side by side on all threads. A
    candidate that cannot be fitted has a row in the table with the reason.

    Parameters
    ----------
    X : (n, d) array-like, table, Dask array, path, or what `open_source` returns
    n_components : int, range or iterable of int
        Numbers of components to try, such as ``range(2, 11)``.
    covariance : str or sequence of str
        Families to try; "all" for all.
    criterion : {'bic', 'aic', 'icl', 'silhouette', 'cv'}
        Criterion for the choice. 'cv' is the mean log-likelihood of held-out samples (Smyth 2000,
        "Model selection for probabilistic clustering using cross-validated likelihood", Statistics
        and Computing 10).
    folds : int, optional
        Folds of a cross-validation; each costs one more fit of every candidate. By default 5 if it
        is the criterion, else none. A row that is in the data twice may be in two folds.
    early_stop : bool
        End after 3 numbers of components in a row that did not beat the best.
    tol, reg_covar, resolution, max_iter, n_init, effort, init_params, dtype, threads, memory
        As for `GaussianMixture`.
    random_state : int, RandomState or None
        One seed for all candidates, drawn if this is a RandomState or None.
    silhouette_rows : int
        Rows of the sample for silhouettes; 0 for no silhouettes.
    sample_weight : (n,) array-like, optional
    verbose : int
        1 logs every finished piece of work and the choice, 2 also every iteration on all of the
        data (logger "gmm_fast"; on standard error if logging is not set up).

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
        The best candidate reached `max_iter`; for the others see `table`.
    UserWarning
        `reg_covar` is a number that is not small compared with the variance of a feature.

    Examples
    --------
    >>> import numpy as np
    >>> from gmm_fast import search
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(0, 1, (200, 2)), rng.normal(9, 1, (100, 2))])
    >>> found = search(X, range(1, 4), covariance=["full", "spherical"])
    >>> found.best
    GaussianMixture(covariance_type='spherical', n_components=2, random_state=0)
    >>> len(found.models), found.table[0]["n_components"]
    (6, 1)
    >>> found.margin > 10, found.warnings
    (True, [])
    """
    families = _families(covariance)
    numbers = grid.numbers_of(n_components)
    folds = grid.folds_of(criterion, folds)
    how = {"silhouette_rows": silhouette_rows, "folds": folds}
    grid.check_search(numbers, families, criterion, **how)
    if not isinstance(early_stop, bool | np.bool_):
        raise DataError(f"early_stop must be True or False, not {early_stop!r}")
    shared = {
        "tol": tol,
        "reg_covar": reg_covar,
        "resolution": resolution,
        "max_iter": max_iter,
        "n_init": n_init,
        "effort": effort,
        "init_params": init_params,
        "random_state": seed_of(random_state),
        "dtype": dtype,
        "threads": threads,
        "memory": memory,
    }
    settings = check_parameters(GaussianMixture(**shared, verbose=verbose))
    logger = verbose_logger(verbose)
    promise = memory_bytes(memory)
    source = fitting.open_data(X, promise)
    grid.check_search(numbers, families, criterion, source.n_samples, **how)
    weights = weights_of(source, sample_weight)
    backend, _, events = fitting.open_backend(
        source,
        families,
        numbers,
        dtype=dtype,
        weights=weights,
        threads=threads,
        memory=promise,
        search=True,
        beside=criteria.silhouette_bytes(silhouette_rows, source.n_features, families, numbers),
        folds=folds,
    )
    check_steps(settings.resolution, backend)
    log_events(logger, events)
    for event in swamp_events(settings.reg_covar, backend.survey()):
        warnings.warn(event, stacklevel=2)
    table = grid.search(
        backend,
        numbers,
        families,
        criterion,
        starting.Start(init_params, int(n_init), shared["random_state"], float(effort)),
        settings,
        early_stop=bool(early_stop),
        watch=None if logger is None else Logged(logger, iterations=verbose > 1),
        **how,
    )
    if logger is not None:
        extreme = "highest" if criterion in HIGHER else "lowest"
        logger.info("%s is %s for %s", criterion, extreme, table.best)
    found = SearchResult.of(table, events, Recipe.of(source), shared)
    if not found.best.converged_ and max_iter:
        warnings.warn(
            f"EM of the best candidate did not converge in {max_iter} iterations; raise "
            "max_iter, or tol",
            ConvergenceWarning,
            stacklevel=2,
        )
    return found


def _families(covariance):
    """Names of families as a list, from one name or several."""
    try:
        names = [covariance] if isinstance(covariance, str) else list(covariance)
        names = list(FAMILIES) if names == ["all"] else names
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
        The result of its fit is written, with the feature names, but not the constructor's
        parameters. For a model made or changed by hand the attributes are written.
    path : str or path
        A ``.npz`` file that `load` and the command line read.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        The model was not fitted.
    FitError, DataError
        The file cannot be written.
    """
    check_is_fitted(model, "means_")
    result = model._result()
    write_model(path, result.params, result.facts() | model._recipe().facts())


def load(path):
    """Read a model file written by `save` or by the command line.

    Returns
    -------
    GaussianMixture
        Fitted: it can predict, score and sample.

    Raises
    ------
    ModelFileError
        A ValueError: not a model file, of another version, or damaged.
    """
    params, facts = read_model(path)
    check_facts(facts, params.n_features, path)
    result = em.FitResult.from_facts(params, facts)
    return GaussianMixture.from_result(result, recipe=Recipe.from_facts(facts))
