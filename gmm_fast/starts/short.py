"""Runs EM briefly on few samples, in one compiled call.

On a few hundred samples a pass takes 10 microseconds, and the Python around it 150. A compiled call
reports nothing between iterations and rescues nothing: where a component dies or collapses,
`em.fit` makes the run instead.
"""

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from .. import em
from ..backends.local import no_outputs
from ..checks import cached
from ..em.rescue import DEAD
from ..kernels import gaussian, short
from ..mixture.families import get_family
from ..mixture.forms import (
    NEAR,
    least_precision,
    linear_shapes,
    linear_work,
    round_up,
    triangular_shapes,
    triangular_work,
)
from ..mixture.params import Params

# Up to this many features plain loops factorise faster than a pass.
MOST_FEATURES = 64


class Patience(NamedTuple):
    """When to give up a run that falls behind.

    Attributes
    ----------
    to_beat : float
        Log-likelihood that it must reach.
    look : int
        The run is checked after this many iterations, after twice as many, and so on.
    enough : float
        Share of what it lacks that it must gain in the last half of them.
    """

    to_beat: float
    look: int
    enough: float


ENDLESS = Patience(-np.inf, 1, 1.0)


@dataclass(frozen=True, eq=False)
class Run:
    """Where a short run of EM ended.

    Attributes
    ----------
    params : Params
    log_likelihood : float
        Sum of w ln p(x).
    n_iter : int
    converged : bool
    events : tuple of str
    """

    params: Params
    log_likelihood: float
    n_iter: int
    converged: bool
    events: tuple = ()


class ShortRuns:
    """Short runs of EM on one data set; several threads may run them at the same time.

    Parameters
    ----------
    backend : LocalBackend
        Its data is read once, and kept.
    covariance_type : str
    settings : em.Settings
        With the `reg_covar` of the data.

    Attributes
    ----------
    n_samples : int
    total_weight : float
    """

    def __init__(self, backend, covariance_type, settings):
        self.backend = backend
        self.settings = settings
        self.n_samples, self.n_features = backend.n_samples, backend.n_features
        self.total_weight = backend.survey(covariance_type).total_weight
        self._family = get_family(covariance_type)
        self._spare = {}

    @property
    def _each(self):
        """Whether each feature has its own variance."""
        return self._family.layout == "variances"

    def work(self, n_components):
        """Approximate nanoseconds of an iteration on one thread."""
        k, d = n_components, self.n_features
        if self._family.form == "diagonal":
            return self.n_samples * linear_work(k, round_up(d, 4), self._each)
        return self.n_samples * triangular_work(k, d)

    def __call__(self, params, max_iter, tol, patience=ENDLESS):
        """Run EM from `params`, equal to `em.fit` up to rounding.

        It may stop elsewhere in float32 beside thin covariances, and on data so large that float64
        has no digits for the floor of collapsed ones.

        Parameters
        ----------
        params : Params
        max_iter : int
        tol : float
        patience : Patience
            A run that falls behind may end early.

        Returns
        -------
        Run
        """
        if self.n_features <= MOST_FEATURES and self._family.structure is not None:
            found = self._run_compiled(params, max_iter, tol, patience)
            if found is not None:
                return found
        settings = replace(self.settings, max_iter=max_iter, tol=tol)
        result = em.fit(self.backend, params, settings)
        return Run(
            result.params,
            result.log_likelihood,
            result.n_iter,
            result.converged,
            tuple(result.events),
        )

    def _run_compiled(self, params, max_iter, tol, patience):
        """The run in one compiled call, or None if it needs `em.fit`."""
        x, weights = self._data
        to_beat, look, enough = patience
        how = float(tol), max_iter, float(to_beat), float(look), float(enough)
        limits = short.Limits(*self._common_limits[:5], *how)
        if self._family.form == "diagonal":
            found = self._linear(x, weights, params, limits)
            if found is not None:
                return found
        return self._triangular(x, weights, params, limits)

    @cached
    def _data(self):
        """Rows and weights as kernels take them, each one array."""
        backend = self.backend
        weights = np.empty(0, backend.dtype)
        if backend.weights is not None:
            weights = np.ascontiguousarray(backend.weights[:], backend.dtype)
        return np.concatenate([chunk for _, chunk in backend.chunks()]), weights

    @cached
    def _common_limits(self):
        """The `Limits` that all runs share."""
        backend, d = self.backend, self.n_features
        added = np.broadcast_to(self.settings.added_variance, d).astype(np.float64)
        rounding = self.settings.rounding
        return short.Limits(
            added if self._family.layout != "variance" else np.full(d, added.mean()),
            np.zeros(d) if rounding is None else rounding,
            np.zeros(d) if backend.origin is None else backend.origin,
            float(np.finfo(backend.dtype).eps),
            DEAD * self.total_weight / self.n_samples,
            *(0.0, 0, 0.0, 0.0, 0.0),
        )

    def _linear(self, x, weights, params, limits):
        """The run by `short.iterate_variances`; None if products cancel or it needs `em.fit`."""
        (k, d), dtype, each = params.means.shape, x.dtype, self._each
        dp, kp = round_up(d, 4), round_up(k, 4)
        variances = params.covariances if each else params.covariances[:, None]
        mixture = short.Variances(params.weights.copy(), params.means.copy(), variances.copy())
        shapes = linear_shapes(k, dp, each, dtype)

        def form():
            quad = np.zeros((kp, dp) if each else (0, 0), dtype)
            rows = (np.zeros(kp, dtype) for _ in range(3))
            center, whiten = np.zeros(dp, dtype), np.zeros((0, 0), dtype)
            return gaussian.LinearForm(np.zeros((kp, dp), dtype), quad, *rows, center, whiten)

        near = (NEAR[dtype], least_precision(dtype))
        scratch = self._scratch(k, form, shapes)
        iterations, small_steps, log_likelihood = short.iterate_variances(
            x, weights, mixture, limits, *near, *scratch, no_outputs(k, dtype)
        )
        self._spare.setdefault(k, []).append(scratch)
        if iterations == short.TROUBLE or iterations == short.FAR:
            return None
        variances = mixture.variances if each else mixture.variances[:, 0].copy()
        found = self._params(mixture.weights, mixture.means, variances)
        return Run(found, log_likelihood, iterations, small_steps == 2)

    def _triangular(self, x, weights, params, limits):
        """The run by `short.iterate`; None if a component dies or collapses."""
        (k, d), dtype, family = params.means.shape, x.dtype, self._family
        matrices = params.covariances[None] if family.shared else family.full(params)
        mixture = short.Mixture(params.weights.copy(), params.means.copy(), np.array(matrices))
        dp = round_up(d, 2)

        def form():
            zeros = (np.zeros(shape, dtype) for shape in ((k, dp), (k, dp, dp), k))
            return gaussian.TriangularForm(*zeros)

        scratch = self._scratch(-k, form, triangular_shapes(k, d))
        iterations, small_steps, log_likelihood = short.iterate(
            x, weights, family.structure, mixture, limits, *scratch, no_outputs(k, dtype)
        )
        self._spare.setdefault(-k, []).append(scratch)
        if iterations == short.TROUBLE:
            return None
        covariances = family.of_matrices(mixture.covariances)
        found = self._params(mixture.weights, mixture.means, covariances)
        return Run(found, log_likelihood, iterations, small_steps == 2)

    def _params(self, weights, means, covariances):
        rounding = self.settings.rounding
        return Params(weights, means, covariances, self._family.name, rounding=rounding)

    def _scratch(self, key, form, shapes):
        """(form, sums, lanes) that no other thread uses: of an earlier run, or new."""
        try:
            return self._spare.get(key, []).pop()
        except IndexError:
            return form(), *_lane(abs(key), shapes)


def _lane(k, shapes):
    """Memory for the sums of one lane, and the lane as views of it."""
    shapes = [(1, 4), (1, k), *((1, *shape) for shape in shapes)]
    ends = np.cumsum([math.prod(shape) for shape in shapes])
    sums = np.empty(ends[-1])
    parts = np.split(sums, ends[:-1])
    return sums, gaussian.Lanes(*(p.reshape(s) for p, s in zip(parts, shapes, strict=True)))
