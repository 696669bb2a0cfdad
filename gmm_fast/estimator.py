"""The scikit-learn face."""

import warnings

import numpy as np
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from . import criteria, em, fitting, init
from .backends import LocalBackend, check_weights
from .families import get_family
from .params import Params
from .sampling import draw
from .sources import check_columns, open_source


class GaussianMixture(DensityMixin, BaseEstimator):
    """Gaussian mixture fitted by EM, with scikit-learn's interface.

    Parameters
    ----------
    n_components : int, default=1
    covariance_type : {'full', 'tied', 'diag', 'spherical'}, default='full'
    tol : float, default=1e-3
        EM stops when the mean log-likelihood of a sample changes by less than this.
    reg_covar : float, default=1e-6
        Added to the variances.
    max_iter : int, default=100
    n_init : int, default=1
        Rounds of starts. Each start runs a short EM on a sample of the data; the best goes on.
    init_params : {'auto', 'k-means++', 'kmeans', 'random', 'random_from_data'}, default='auto'
        'auto' tries five starts in each round: k-means++ on standardised and on whitened data,
        and random rows.
    weights_init : (n_components,) array, optional
    means_init : (n_components, n_features) array, optional
    precisions_init : array, optional
        Of the shape of ``precisions_``.
    random_state : int, RandomState or None
    warm_start : bool, default=False
        Start the next `fit` from the last one's result.
    verbose : int, default=0
        1 prints the log-likelihood every `verbose_interval` iterations.
    verbose_interval : int, default=10
    dtype : {None, 'float32', 'float64'}
        What the kernels compute in; None is float32 for float32 data, else float64.
    threads : int, optional
        None is all of them.

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
        Mean log-likelihood of a sample under the parameters above.
    lower_bounds_ : list of float
        The same of the start and after each iteration.
    stop_reason_ : str
    events_ : list of str
        What happened that a user should know: rescued components, constant features.
    n_features_in_ : int
    result_ : FitResult

    Notes
    -----
    `X` may be an array, anything `numpy.asarray` takes, or the path of a ``.npy`` file, which is
    streamed when it is large.
    """

    def __init__(
        self,
        n_components=1,
        *,
        covariance_type="full",
        tol=1e-3,
        reg_covar=1e-6,
        max_iter=100,
        n_init=1,
        init_params="auto",
        weights_init=None,
        means_init=None,
        precisions_init=None,
        random_state=None,
        warm_start=False,
        verbose=0,
        verbose_interval=10,
        dtype=None,
        threads=None,
    ):
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weights_init = weights_init
        self.means_init = means_init
        self.precisions_init = precisions_init
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.verbose_interval = verbose_interval
        self.dtype = dtype
        self.threads = threads

    # -- fitting -------------------------------------------------------------------------------

    def fit(self, X, y=None, sample_weight=None, *, labels=None):
        """Fit the mixture.

        Parameters
        ----------
        X : (n, d) array-like, or path of a ``.npy``
        y : ignored
        sample_weight : (n,) array-like, optional
            A weight of 2 is the same as the row twice.
        labels : (n,) int array, optional
            Start from this partition instead of `init_params`.

        Returns
        -------
        self

        Raises
        ------
        DataError
            A ValueError: the data or a parameter is wrong; nothing of the estimator changed.
        """
        family = get_family(self.covariance_type)
        settings = em.Settings(self.tol, self.max_iter, self.reg_covar)
        start = self._start(labels)
        source = open_source(X)
        weights = check_weights(sample_weight, source.n_samples)
        backend, seconds, events = fitting.open_backend(
            source, [family.name], dtype=self.dtype, weights=weights, threads=self.threads
        )
        result = fitting.fit(
            backend, self.n_components, family.name, start, settings, callback=self._report()
        )
        result.events[:0] = events
        result.seconds.update(seconds)
        self._take(result)
        self.n_features_in_ = source.n_features
        if hasattr(X, "columns"):
            self._check_feature_names(X, reset=True)
        if not result.converged and self.max_iter > 1:
            warnings.warn(
                f"EM did not converge in {self.max_iter} iterations; raise max_iter, or tol",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    def fit_predict(self, X, y=None, sample_weight=None):
        """Fit, and return the labels of `X`, (n,) int64."""
        return self.fit(X, y, sample_weight).predict(X)

    def _start(self, labels):
        if self.warm_start and hasattr(self, "means_"):
            return self._params()
        state = self.random_state
        seed = (
            int(state)
            if isinstance(state, int | np.integer) and state >= 0
            else int(check_random_state(state).randint(2**31))
        )
        return init.Start(
            method=self.init_params,
            n_init=self.n_init,
            seed=seed,
            weights=self.weights_init,
            means=self.means_init,
            precisions=self.precisions_init,
            labels=labels,
        )

    def _report(self):
        if not self.verbose:
            return None

        def report(iteration, mean_log_likelihood, change):
            if iteration % self.verbose_interval == 0:
                print(f"iteration {iteration}: {mean_log_likelihood:.6f} ({change:+.2e})")

        return report

    def _take(self, result):
        params = result.params
        family = get_family(params.covariance_type)
        factor = family.inverse_cholesky(params.covariances)[0]
        self.weights_ = params.weights
        self.means_ = params.means
        self.covariances_ = params.covariances
        self.precisions_cholesky_ = (
            np.swapaxes(factor, -1, -2) if factor.ndim == 3 or (family.name == "tied") else factor
        )
        self.precisions_ = family.invert(params.covariances)
        self.converged_ = result.converged
        self.n_iter_ = result.n_iter
        self.lower_bound_ = result.mean_log_likelihood
        self.lower_bounds_ = [t / result.total_weight for t in result.trace]
        self.stop_reason_ = result.stop_reason
        self.events_ = result.events
        self.result_ = result

    @classmethod
    def from_result(cls, result, **parameters):
        """A fitted estimator with the parameters of a `FitResult`."""
        params = result.params
        model = cls(params.n_components, covariance_type=params.covariance_type, **parameters)
        model._take(result)
        model.n_features_in_ = params.n_features
        return model

    # -- using ---------------------------------------------------------------------------------

    def predict(self, X):
        """The most responsible component of each sample, (n,) int64."""
        return self._scored(X, "labels", np.int64)

    def predict_proba(self, X):
        """Responsibilities, (n, K)."""
        return self._scored(X, "resp", None)

    def score_samples(self, X):
        """ln p(x) of each sample, (n,)."""
        return self._scored(X, "log_prob", None)

    def score(self, X, y=None, sample_weight=None):
        """Mean log-likelihood of a sample."""
        return self._result_on(X, sample_weight).mean_log_likelihood

    def sample(self, n_samples=1):
        """Draw samples.

        Returns
        -------
        X : (n_samples, d) array
        y : (n_samples,) int array
            The component of each, ascending.
        """
        check_is_fitted(self)
        seed = check_random_state(self.random_state).randint(2**31)
        return draw(self._params(), n_samples, seed)

    def aic(self, X):
        """Akaike's criterion on `X`; lower is better."""
        return criteria.aic(self._result_on(X))

    def bic(self, X):
        """The Bayesian information criterion on `X`; lower is better."""
        return criteria.bic(self._result_on(X))

    def icl(self, X):
        """The integrated completed likelihood on `X`, as a criterion: lower is better."""
        return criteria.icl(self._result_on(X))

    def _n_parameters(self):
        return criteria.n_parameters(self._params())

    def _params(self):
        return Params(self.weights_, self.means_, self.covariances_, self.covariance_type)

    def _backend(self, X, weights=None):
        check_is_fitted(self)
        source = open_source(X)
        check_columns(source, self.n_features_in_, "the model")
        weights = check_weights(weights, source.n_samples)
        backend = LocalBackend(source, dtype=self.dtype, weights=weights, threads=self.threads)
        return backend

    def _scored(self, X, what, dtype):
        backend = self._backend(X)
        shape = (backend.n_samples, self.means_.shape[0])[: 2 if what == "resp" else 1]
        scored = np.empty(shape, dtype or backend.dtype)
        for start, outputs in backend.score(self._params(), **{what: True}):
            block = getattr(outputs, what)
            scored[start : start + len(block)] = block
        return scored

    def _result_on(self, X, sample_weight=None):
        backend = self._backend(X, sample_weight)
        params = self._params()
        return em.FitResult.of(params, backend.stats(params), backend.n_samples)
