"""Defines `GaussianMixture`: its parameters and `fit`."""

import warnings

import numpy as np
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.exceptions import ConvergenceWarning

from .. import fitting
from ..em.regularisation import swamp_events
from ..errors import DataError
from ..log import log_events, log_iterations, verbose_logger
from ..mixture.families import get_family
from ..mixture.params import Params, check_params
from ..mixture.resolution import check_steps
from ..starts import starting
from . import by_hand, convert
from .arguments import (
    check_enough,
    check_parameters,
    given_start,
    labels_of,
    memory_bytes,
    seed_of,
    weights_of,
)
from .exchange import Exchange
from .feature_names import as_names
from .hooks import Privates, check_hooks, overrides
from .recipe import Recipe, open_known
from .scoring import Scoring
from .streaming import Streaming


class GaussianMixture(
    by_hand.SetByHand, Scoring, Streaming, Exchange, Privates, DensityMixin, BaseEstimator
):
    """Gaussian mixture fitted by EM, with scikit-learn's interface.

    Parameters
    ----------
    n_components : int, default=1
        Number of Gaussians, K.
    covariance_type : {'full', 'tied', 'diag', 'spherical'}, default='full'
        Full matrices, one matrix for all components, no correlations, or one variance each.
    tol : float, default=1e-3
        EM stops when the mean log-likelihood of a sample changes by less than this in two
        iterations in a row.
    reg_covar : float or 'auto', default='auto'
        Added to the variances in every iteration. 'auto' is 1e-6, scikit-learn's default, times
        the variance of the feature if that is below 1: data in small units keeps its clusters.
    resolution : 'auto', None, float or (n_features,) array, default='auto'
        Steps to which the features were rounded: 1 for integers, 0 for no rounding. 'auto' finds
        them from values all over the data. If EM would end in a component whose standard deviation
        is below half a step in some direction, likelihoods take the rounding into account (and
        ``events_`` says so): H = step**2 / 12 is then added to the variances in addition to
        `reg_covar`, and densities are multiplied by exp(-tr(inv(Sigma_k) H) / 2). Starts avoid
        such components, too. Fits that meet none give the same bits as with None, which ignores
        rounding; so do fits of one component, and `partial_fit` ignores it, too.
    max_iter : int, default=100
        Most iterations; 0 leaves the parameters at the start.
    n_init : int, default=1
        Rounds of starts. Each start runs a short EM on a sample of the data; the best is used.
    effort : float, default=1.0
        Multiplies the budget of the search for the optimum, with `init_params` 'auto', as does
        `n_init`. 0 is the race of the starts alone.
    init_params : {'auto', 'k-means++', 'kmeans', 'random', 'random_from_data'}, default='auto'
        'auto' races four starts in each round (k-means on standardised, whitened and raw data,
        random rows), and improves the best by local moves of components, as long as these raise
        the likelihood (Zhao et al. 2012, Ueda et al. 2000). Data with few rows for each component
        and feature starts from the partition of the highest marginal likelihood instead.
    weights_init : (n_components,) array, optional
    means_init : (n_components, n_features) array, optional
    precisions_init : array, optional
        Of the shape of ``precisions_``. Any of these three that is given overrides `init_params`;
        if all are given, EM starts from them.
    random_state : int, RandomState or None, default=None
        Determines the starts, and what `sample` draws.
    warm_start : bool, default=False
        Start the next `fit` from the last result; columns are chosen and ordered by the names of
        the last fit.
    learning_decay : float, default=0.7
        How fast `partial_fit` forgets, in 0..1; see there. `fit` ignores it.
    verbose : int, default=0
        1 logs the log-likelihood every `verbose_interval` iterations and at the end (logger
        "gmm_fast"; on standard error if logging is not set up).
    verbose_interval : int, default=10
    dtype : {None, 'float32', 'float64'}
        Type that the kernels compute in; None is float32 for float32 and float16 data, else
        float64.
    threads : int, optional
        None uses all. Results are the same bits for any number.
    memory : str or int, optional
        Limit on the memory of the process, such as '500MB', or in bytes; arrays that are passed or
        returned count, too. Data from a file that does not fit is streamed in every iteration, to
        the same bits. None lets data take half of the free memory.

    Attributes
    ----------
    weights_ : (K,) array
    means_ : (K, d) array
    covariances_, precisions_, precisions_cholesky_ : array
        full (K, d, d), tied (d, d), diag (K, d), spherical (K,). The Cholesky factor U of a
        precision is upper triangular, precision = U U'.
    converged_ : bool
    n_iter_ : int
    lower_bound_ : float
        Mean log-likelihood of a sample under the parameters above, taking the data's rounding into
        account if ``events_`` says so; after `partial_fit` see there.
    lower_bounds_ : list of float
        The same for the start and after each iteration, ``n_iter_ + 1`` values.
    stop_reason_ : str
        'tolerance' or 'max_iter'; 'partial_fit' after that, 'no fit' for a model made without one.
    events_ : list of str
        Events that a user should know about: rescued components, components with too few rows,
        constant features.
    n_samples_seen_ : float
        Total weight of the samples it was fitted to; without weights their number.
    n_features_in_ : int
    feature_names_in_ : (d,) array of str
        Only after a fit to a data frame whose column names are strings, or to a file with named
        columns. Data for the model is chosen and ordered by these names.
    transforms_ : list of (str or None), or None
        Transform of each feature of a file before the fit, such as "arcsinh:150"; None if none was
        requested. Files for the model go through the same transforms. **Arrays and frames do
        not**: their values, ``means_`` and the draws of `sample` are on the transformed scale.
    resolution_ : list of float or None
        The step to which each feature was rounded, 0 for one that was not; None if none was, or
        rounding was ignored.
    excess_ : float or None
        Share of the samples whose density claims more than one sample in a cell of these steps: 0
        for a sound model, unless most rows share one value in several features of few values.
    result_ : FitResult

    Notes
    -----
    `X` may be an array, anything `numpy.asarray` takes, a table or data frame, a Dask array, or
    what `gmm_fast.open_source` opens: the path of a file, of a folder of files, or a pattern. Large
    files are streamed; the workers of the current client process Dask data.

    Parameters and sums over samples are float64 whatever the data. `predict_proba` and
    `score_samples` return the dtype that the kernels compute in.

    EM stops after two small changes in a row. From the same start scikit-learn stops at the same
    iteration, since it compares the likelihoods that its last two iterations started from, unless
    changes grow again after the first small one: then this EM continues.

    Examples
    --------
    >>> import numpy as np
    >>> from gmm_fast import GaussianMixture
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(0, 1, (200, 2)), rng.normal(9, 1, (100, 2))])
    >>> model = GaussianMixture(2, random_state=0).fit(X)
    >>> np.sort(model.weights_).round(2)
    array([0.33, 0.67])
    >>> len(set(model.predict([[0, 0], [1, 1], [9, 9]])))
    2
    """

    def __init__(
        self,
        n_components=1,
        *,
        covariance_type="full",
        tol=1e-3,
        reg_covar="auto",
        resolution="auto",
        max_iter=100,
        n_init=1,
        effort=1.0,
        init_params="auto",
        weights_init=None,
        means_init=None,
        precisions_init=None,
        random_state=None,
        warm_start=False,
        learning_decay=0.7,
        verbose=0,
        verbose_interval=10,
        dtype=None,
        threads=None,
        memory=None,
    ):
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.resolution = resolution
        self.max_iter = max_iter
        self.n_init = n_init
        self.effort = effort
        self.init_params = init_params
        self.weights_init = weights_init
        self.means_init = means_init
        self.precisions_init = precisions_init
        self.random_state = random_state
        self.warm_start = warm_start
        self.learning_decay = learning_decay
        self.verbose = verbose
        self.verbose_interval = verbose_interval
        self.dtype = dtype
        self.threads = threads
        self.memory = memory

    def fit(self, X, y=None, sample_weight=None, *, labels=None):
        """Fit the mixture.

        Parameters
        ----------
        X : (n, d) array-like, table, Dask array, path, or what `open_source` returns
        y : ignored
        sample_weight : (n,) array-like, optional
            A weight of 2 counts like having the row twice. If ``open_source(..., missing="drop")``
            left rows out, weights and labels may be for all rows or for the remaining ones.
        labels : (n,) int array, optional
            Start from this partition instead of `init_params`.

        Returns
        -------
        self

        Raises
        ------
        DataError
            A ValueError: the data or a parameter is wrong; the estimator is unchanged.

        Warns
        -----
        ConvergenceWarning
            `max_iter` was reached.
        UserWarning
            `reg_covar` is a number that is not small compared with the variance of a feature.
        """
        if overrides(self, "fit_predict") and not vars(self).get("_fitting"):
            given = {"sample_weight": sample_weight, "labels": labels}
            self._fitting = True  # `fit_predict` may call `fit` again
            try:
                self.fit_predict(X, y, **{k: v for k, v in given.items() if v is not None})
            finally:
                del self._fitting
            return self
        self._fit(X, sample_weight, labels)
        return self

    def fit_predict(self, X, y=None, sample_weight=None, *, labels=None):
        """Fit, and return the labels of `X`, (n,) int64.

        `fit` calls this if a subclass overrides it, as scikit-learn's does.
        """
        return self._collect(self._fit(X, sample_weight, labels), "labels", np.int64)

    def _fit(self, X, sample_weight, labels=None):
        """Fit, and return the backend that holds the data."""
        settings = check_parameters(self).of(int(self.n_components))
        check_hooks(self)
        source = self._source_to_fit(X, labels)
        check_enough(self, source)
        weights = weights_of(source, sample_weight)
        start = self._start(source, labels)
        backend, seconds, events = self._open_backend(source, weights)
        check_steps(settings.resolution, backend)
        logger = verbose_logger(self.verbose)
        log_events(logger, events)
        for event in swamp_events(settings.reg_covar, backend.survey()):
            warnings.warn(event, stacklevel=3)
        result = fitting.fit(
            backend,
            int(self.n_components),
            self.covariance_type,
            start,
            settings,
            callback=log_iterations(self.verbose, self.verbose_interval),
            previous=getattr(self, "result_", None) if self.warm_start else None,
        )
        log_events(logger, result.events)
        result.events[:0] = events
        result.seconds.update(seconds)
        self._take(result, Recipe.of(source))
        if logger is not None:
            bound, reason = self.lower_bound_, result.stop_reason
            logger.info("%d iterations, %.6f: %s", result.n_iter, bound, reason)
        if not result.converged and result.n_iter:
            change = abs(self.lower_bounds_[-1] - self.lower_bounds_[-2])
            warnings.warn(  # scikit-learn's words first: people filter by them
                "Best performing initialization did not converge. Try different init parameters, "
                "or increase max_iter, tol, or check for degenerate data. After max_iter="
                f"{self.max_iter} iterations the mean log-likelihood still changed by {change:.2g}",
                ConvergenceWarning,
                stacklevel=3,
            )
        return backend

    def _continues(self, labels):
        """Whether a fit starts from the last result."""
        return labels is None and self.warm_start and hasattr(self, "means_")

    def _source_to_fit(self, X, labels):
        """The source of data to fit; with `warm_start` its columns are those of the last fit."""
        memory = memory_bytes(self.memory)
        if not self._continues(labels):
            return fitting.open_data(X, memory)
        advice = "\nwarm_start continues from that fit; set warm_start=False to begin anew"
        recipe = self._recipe()
        return recipe.apply(open_known(X, recipe, memory, advice))

    def _open_backend(self, source, weights):
        """The result of `fitting.open_backend` for data to fit."""
        return fitting.open_backend(
            source,
            [self.covariance_type],
            [int(self.n_components)],
            dtype=self.dtype,
            weights=weights,
            threads=self.threads,
            memory=memory_bytes(self.memory),
        )

    def _start(self, source, labels):
        """What `fitting.fit` starts from: a `Start`, or `Params`, checked."""
        given = given_start(self, source.n_features)
        if self._continues(labels):
            return self._last_params(source)
        if labels is not None:
            labels = labels_of(source, labels, self.n_components)
        elif all(value is not None for value in given.values()):
            # neither a search nor a race, which would move the start
            family = get_family(self.covariance_type)
            covariances = family.symmetric(family.invert(given["precisions"]))
            params = Params(given["weights"], given["means"], covariances, self.covariance_type)
            return check_params(params, "weights_init, means_init, precisions_init")
        how = self.init_params, int(self.n_init), seed_of(self.random_state), float(self.effort)
        return starting.Start(*how, labels=labels, **given)

    def _last_params(self, source):
        params = self._same_mixture("warm_start: the last fit", "set warm_start=False")
        if source.n_features != params.n_features:
            raise DataError(
                f"warm_start: {source.name} has {source.n_features} features, the last fit had "
                f"{params.n_features}; set warm_start=False"
            )
        before = self._recipe().transforms
        if source.transforms != before:
            raise DataError(
                f"warm_start: {source.name} has the transforms {source.transforms}, the "
                f"last fit's data had {before}; open it with open_source(..., transform="
                f"{before}), or set warm_start=False"
            )
        return params

    def _same_mixture(self, what, advice):
        """The fitted `Params`; DataError unless they have the requested family and size."""
        params = self._params()
        family, k = params.covariance_type, params.n_components
        if (self.covariance_type, self.n_components) != (family, k):
            raise DataError(
                f"{what} has {k} components of family {family}, now {self.n_components} of "
                f"{self.covariance_type} are requested; {advice}"
            )
        return params

    def _take(self, result, recipe=None):
        """Set the attributes to the result of a fit, and record how its data was read."""
        params = result.params
        self._read = Recipe() if recipe is None else recipe
        self.transforms_, names = self._read.transforms, self._read.names
        # copies: changes by hand, even in place, must not change the fit's result
        self.weights_ = params.weights.copy()
        self.means_ = params.means.copy()
        self.covariances_ = params.covariances.copy()
        self.precisions_, self.precisions_cholesky_ = convert.precisions(params)
        by_hand.remember(self, params.covariance_type)
        self.converged_ = result.converged
        self.n_iter_ = result.n_iter
        self.lower_bound_ = result.mean_log_likelihood
        self.lower_bounds_ = [t / result.total_weight for t in result.trace]
        self.stop_reason_ = result.stop_reason
        self.events_ = result.events
        self.resolution_ = result.resolution
        self.excess_ = result.excess
        self.result_ = result
        self.n_samples_seen_ = result.total_weight
        self._gathered = None
        if names is not None:
            self.feature_names_in_ = as_names(names)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True  # made dense piece by piece
        return tags
