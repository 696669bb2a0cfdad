"""`partial_fit`: fits a stream of batches, each seen once."""

from dataclasses import replace

from ..fitting import online
from ..mixture.params import same_mixture
from .arguments import check_parameters, decay_of
from .hooks import check_hooks
from .recipe import Recipe


class Streaming:
    """Mixin: `partial_fit`."""

    def partial_fit(self, X, y=None, sample_weight=None):
        """Update the model with a batch of samples, by one step of stepwise EM.

        The first call finds a start on its batch as `fit` does, which takes at least
        `n_components` rows, unless all of weights_init, means_init and precisions_init are given.
        As long as there are few rows (128 for each component or 2 for each free parameter,
        whichever is more) the estimator keeps them, and finds a new start on all of them each time
        their number has doubled: components may change places. After `fit` or `load`, or on a model
        made or changed by hand, it continues from that model, which counts for
        ``n_samples_seen_`` samples. Batches should be alike: shuffle sorted data.

        Parameters
        ----------
        X : (n, d) array-like, table, Dask array, path, or what `open_source` returns
            A batch of any size.
        y : ignored
        sample_weight : (n,) array-like, optional
            A weight of 2 counts like having the row twice.

        Returns
        -------
        self

        Raises
        ------
        DataError
            A ValueError: the data or a parameter is wrong, or does not match the model; the
            estimator is unchanged.

        Notes
        -----
        The statistics of each batch are averaged into running statistics of the E-step, and the
        M-step uses the average [1]_. The step size of Liang and Klein [2]_, ``k **
        -learning_decay`` for the k-th batch, applies to batches of 10 samples for each free
        parameter, and is spread over the samples, so that the size of your batches does not matter.
        Until there have been that many samples, all count the same. For a stationary stream
        `learning_decay` should be above 1/2: then the parameters converge. With 1 nothing is
        forgotten; with less the model follows a stream that drifts; with 0 it always uses the same
        number of latest samples.

        Afterwards ``n_iter_`` is the number of batches (since the last `fit`), ``converged_`` is
        False and ``stop_reason_`` 'partial_fit'. ``lower_bound_`` is the mean log-likelihood of the
        last batch under the parameters from before it, which had not seen the batch (or, if a start
        was found, that of all samples under the new parameters); ``lower_bounds_`` holds those of
        the latest 1000 batches.

        References
        ----------
        .. [1] O. Cappé and E. Moulines (2009), On-line expectation-maximization algorithm for
           latent data models. Journal of the Royal Statistical Society B 71(3), 593-613.
        .. [2] P. Liang and D. Klein (2009), Online EM for unsupervised models. Proceedings of
           NAACL, 611-619.

        Examples
        --------
        >>> import numpy as np
        >>> from gmm_fast import GaussianMixture
        >>> rng = np.random.default_rng(0)
        >>> model = GaussianMixture(2, random_state=0)
        >>> for _ in range(20):
        ...     label = rng.random(100) < 0.3
        ...     model = model.partial_fit(rng.normal(np.where(label, 9, 0)[:, None], 1, (100, 2)))
        >>> np.sort(model.weights_).round(1)
        array([0.3, 0.7])
        >>> model.n_samples_seen_
        2000.0
        """
        settings = replace(check_parameters(self), resolution=None)
        check_hooks(self)
        decay = decay_of(self)
        if hasattr(self, "means_"):
            recipe = self._recipe()
            state = self._next_state(X, sample_weight, settings, decay)
        else:
            recipe, state = self._first_state(X, sample_weight, settings)
        self._take(state.result(), recipe)
        self._gathered = state.gathered
        return self

    def _first_state(self, X, sample_weight, settings):
        """The `Recipe` of the first batch, and the state after it."""
        source, weights = self._open_weighted(X, sample_weight)
        start = self._start(source, None)
        k, family = int(self.n_components), self.covariance_type
        backend, _, events = self._open_backend(source, weights)
        state = online.begin(backend, k, family, start, settings, events)
        return Recipe.of(source), state

    def _next_state(self, X, sample_weight, settings, decay):
        """The state after another batch."""
        state = self._last_state()
        return online.advance(state, self._backend(X, sample_weight), settings, decay)

    def _last_state(self):
        """The state to continue from."""
        params = self._same_mixture(
            "partial_fit: the model", "call fit, or partial_fit on a clone of the estimator"
        )
        result, gathered = getattr(self, "result_", None), getattr(self, "_gathered", None)
        if result is not None and same_mixture(params, result.params):
            params = result.params
        else:
            gathered = None  # a start found on these rows would undo what was set by hand
        return online.State.of(params, getattr(self, "n_samples_seen_", 0.0), result, gathered)
