"""Methods of a fitted mixture: labels, densities, samples, criteria."""

from dataclasses import replace

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .. import em, fitting
from ..backends import score_lazily
from ..backends.threads import serial_blas
from ..errors import DataError
from ..mixture.params import Params, check_params, same_mixture
from ..mixture.sampling import draw
from ..selection import criteria
from ..sources import count_all_rows, fill_dropped, is_dask, select_kept
from . import by_hand, convert
from .arguments import memory_bytes, seed_of, weights_of
from .feature_names import warn_of_names
from .hooks import check_hooks, overrides
from .recipe import Recipe, open_known, warn_of_reading


class Scoring:
    """Mixin: prediction, scoring and sampling."""

    def predict(self, X):
        """The most responsible component of each sample, (n,) int64.

        A path is read like the file of the fit: ``transforms_`` and the options given to
        `open_source` then apply to it, too. Rows that ``missing="drop"`` leaves out get -1, or NaN
        as scores. For Dask data this, `predict_proba` and `score_samples` return Dask arrays.
        """
        return self._per_sample(X, "labels", np.int64)

    def predict_proba(self, X):
        """Responsibilities, (n, K), of the dtype that the kernels compute in."""
        return self._per_sample(X, "resp")

    def score_samples(self, X):
        """ln p(x) of each sample, (n,), of the dtype that the kernels compute in."""
        return self._per_sample(X, "log_prob")

    def score(self, X, y=None, sample_weight=None):
        """Mean log-likelihood of a sample, a float."""
        if overrides(self, "score_samples"):  # scikit-learn's `score` calls it
            source, weights = self._open_weighted(X, sample_weight)
            log_prob = select_kept(source, self.score_samples(X))
            return float(np.average(log_prob, weights=weights))
        return self._result_on(X, sample_weight).mean_log_likelihood

    def sample(self, n_samples=1):
        """Draw samples.

        If `random_state` is an integer, every call returns the same ones.

        Parameters
        ----------
        n_samples : int, default=1
            Or a whole float, such as 1e3.

        Returns
        -------
        X : (n_samples, d) float64
        y : (n_samples,) int64
            The component of each sample, ascending.
        """
        check_is_fitted(self)
        return draw(self._params(), n_samples, seed_of(self.random_state))

    def aic(self, X, sample_weight=None):
        """Akaike's criterion on `X`; lower is better."""
        result = self._own_likelihood(X, sample_weight) or self._result_on(X, sample_weight)
        return criteria.aic(result, self._n_parameters())

    def bic(self, X, sample_weight=None):
        """The Bayesian information criterion on `X`, with the sum of the weights for n.

        Lower is better.
        """
        result = self._own_likelihood(X, sample_weight) or self._result_on(X, sample_weight)
        return criteria.bic(result, self._n_parameters())

    def icl(self, X, sample_weight=None):
        """The integrated completed likelihood on `X`, as a criterion: lower is better."""
        result = self._result_on(X, sample_weight)
        if own := self._own_likelihood(X, sample_weight):
            result.log_likelihood = own.log_likelihood
        return criteria.icl(result, self._n_parameters())

    def _n_parameters(self):
        # private in scikit-learn, too, but widely called and overridden: the criteria call it
        return criteria.n_parameters(self._params())

    def _params(self):
        covariances, family = by_hand.covariances(self)
        params = Params(by_hand.weights(self), by_hand.means(self), covariances, family)
        params, result = check_params(params, "the model"), getattr(self, "result_", None)
        if result is None or not np.array_equal(params.covariances, result.params.covariances):
            convert.check_definite(params)
        return params

    def _result(self):
        """The result for the current mixture; it says little if that was set by hand."""
        params, result = self._params(), getattr(self, "result_", None)
        if result is not None and same_mixture(params, result.params):
            return result
        found = convert.result_of(params, getattr(self, "n_samples_seen_", 1))
        return found if result is None else replace(found, n_samples=result.n_samples)

    def _open(self, X):
        """The source of data for prediction or scoring."""
        check_is_fitted(self)
        check_hooks(self)
        fitted = self._fitted_names()
        recipe = self._recipe()
        source = open_known(X, recipe, memory_bytes(self.memory))
        warn_of_names(type(self).__name__, X, fitted, source)
        warn_of_reading(recipe, source)
        d = by_hand.means(self).shape[1]
        if source.n_features != d:
            raise DataError(  # in scikit-learn's words
                f"{source.name} has {source.n_features} features, but {type(self).__name__} is "
                f"expecting {d} features as input"
            )
        return recipe.apply(source)

    def _fitted_names(self):
        names = getattr(self, "feature_names_in_", None)
        return None if names is None else [str(name) for name in names]

    def _recipe(self):
        """How the data of the fit was read, with the names of `feature_names_in_`."""
        read = getattr(self, "_read", Recipe())
        return replace(read, names=self._fitted_names())

    def _backend(self, X, weights=None):
        source = self._open(X)
        return fitting.scoring_backend(
            source,
            dtype=self.dtype,
            weights=weights_of(source, weights),
            threads=self.threads,
            memory=memory_bytes(self.memory),
        )

    def _per_sample(self, X, what, dtype=None):
        if is_dask(X):
            source = self._open(X)
            return score_lazily(source.data, self._params(), what, self.dtype, dtype)
        return self._collect(self._backend(X), what, dtype)

    def _collect(self, backend, what, dtype=None):
        source = backend.opened
        shape = (count_all_rows(source), len(self.means_))[: 2 if what == "resp" else 1]
        scored, start = np.empty(shape, dtype or backend.dtype), 0
        blocks = (
            getattr(outputs, what) for _, outputs in backend.score(self._params(), **{what: True})
        )
        for block in fill_dropped(blocks, source, -1 if what == "labels" else np.nan):
            scored[start : start + len(block)] = block
            start += len(block)
        return scored

    def _result_on(self, X, sample_weight=None):
        backend = self._backend(X, sample_weight)
        params = self._params()
        with serial_blas():
            stats = backend.stats(params)
        return em.FitResult.of(params, stats, backend.n_samples)

    def _own_likelihood(self, X, sample_weight):
        """The likelihood by a subclass's `score`, which scikit-learn's criteria call, or None."""
        if not (overrides(self, "score") or overrides(self, "score_samples")):
            return None
        source, weights = self._open_weighted(X, sample_weight)
        total = source.n_samples if weights is None else weights.sum()
        given = {} if sample_weight is None else {"sample_weight": sample_weight}
        return criteria.Likelihood(float(self.score(X, **given) * total), float(total))

    def _open_weighted(self, X, sample_weight):
        """The source of data and the weights of its rows."""
        source = fitting.open_data(X, memory_bytes(self.memory))
        return source, weights_of(source, sample_weight)
