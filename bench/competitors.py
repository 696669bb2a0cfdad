"""Who is measured: each runs EM for a number of iterations from the start that all share.

Nobody adds anything to the covariances (`reg_covar` is 0): oneDAL and pomegranate cannot, and
only without it is the work, and with it the log-likelihood reached, the same for all.
"""

import importlib
import time
import warnings
from functools import partial
from typing import NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from work import FAMILIES, Mixture, covariance_of, log_joint, log_sum_exp

from gmm_fast import em
from gmm_fast.backends import LocalBackend
from gmm_fast.mixture.params import Params
from gmm_fast.sources import open_source

# What the peers call the families that they share with us.
ONEDAL_STORAGE = {"full": "full", "diag": "diagonal"}
POMEGRANATE_FAMILIES = ("full", "diag")


class Run(NamedTuple):
    """What `run` of a competitor returns."""

    seconds: float
    iterations: int  # done, which may be fewer than asked for
    reached: Mixture


class Ours:
    """gmm-fast in one dtype."""

    note = ""

    def __init__(self, work, dtype=np.float64, threads=None):
        dtype = np.dtype(dtype)
        self.name = f"gmm-fast {dtype.name}" + ("" if threads is None else f" {threads} thread(s)")
        start = work.start
        self.params = Params(start.weights, start.means, start.covariances, start.family)
        self.backend = LocalBackend(open_source(work.x.astype(dtype, copy=False)), threads=threads)

    def run(self, iterations):
        settings = em.Settings(tol=0.0, max_iter=iterations, reg_covar=0.0)
        started = time.perf_counter()
        result = em.fit(self.backend, self.params, settings)
        seconds = time.perf_counter() - started
        p = result.params
        reached = Mixture(p.weights, p.means, p.covariances, p.covariance_type)
        self.reported = result.mean_log_likelihood
        return Run(seconds, result.n_iter, reached)


class ScikitLearn:
    """`sklearn.mixture.GaussianMixture`, float64."""

    name = "scikit-learn"
    note = ""

    def __init__(self, work):
        self.x = work.x
        start = work.start
        self.start = {
            "n_components": len(start.means),
            "covariance_type": start.family,
            "weights_init": start.weights,
            "means_init": start.means,
            "precisions_init": start.covariances,  # variances of 1 are their own inverse
            "tol": 0.0,
            "reg_covar": 0.0,
        }

    def run(self, iterations):
        model = GaussianMixture(max_iter=iterations, **self.start)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            started = time.perf_counter()
            model.fit(self.x)
            seconds = time.perf_counter() - started
        reached = Mixture(model.weights_, model.means_, model.covariances_, model.covariance_type)
        return Run(seconds, model.n_iter_, reached)


class OneDal:
    """oneDAL's `em_gmm` through daal4py.

    With `accuracyThreshold` 0 it stops when the log-likelihood no longer changes at all, so that
    `nIterations` of its result is what divides the seconds. `regularizationFactor` acts only on
    covariances that cannot be inverted, which do not occur here.
    """

    note = "full and diag only"

    def __init__(self, work, dtype=np.float64):
        self.daal = importlib.import_module("daal4py")
        dtype = np.dtype(dtype)
        self.name = f"oneDAL {dtype.name}"
        self.family = work.row.family
        self.settings = {
            "nComponents": work.row.k,
            "fptype": "float" if dtype == np.float32 else "double",
            "accuracyThreshold": 0.0,
            "covarianceStorage": ONEDAL_STORAGE[self.family],
        }
        rows = work.row.d if self.family == "full" else 1
        start = work.start
        self.inputs = (
            np.ascontiguousarray(work.x, dtype),
            start.weights[None].astype(dtype),
            start.means.astype(dtype),
            [c.reshape(rows, -1).astype(dtype) for c in start.covariances],
        )

    def run(self, iterations):
        algorithm = self.daal.em_gmm(maxIterations=iterations, **self.settings)
        started = time.perf_counter()
        result = algorithm.compute(*self.inputs)
        seconds = time.perf_counter() - started
        covariances = np.array(result.covariances, np.float64)
        reached = Mixture(
            normalised(result.weights),
            np.asarray(result.means, np.float64),
            covariances if self.family == "full" else covariances[:, 0],
            self.family,
        )
        return Run(seconds, int(np.ravel(result.nIterations)[0]), reached)


class Pomegranate:
    """pomegranate 1 on PyTorch, float32, what it computes in."""

    name = "pomegranate float32"
    patience = 0.5  # no target depends on it
    allowed = 1e-4  # it sums squares about zero, not about the means
    note = f"moments about zero in float32: log-likelihood within {allowed:g} relative"

    def __init__(self, work):
        self.torch = importlib.import_module("torch")
        self.normal = importlib.import_module("pomegranate.distributions").Normal
        self.mixture = importlib.import_module("pomegranate.gmm").GeneralMixtureModel
        self.family = work.row.family
        self.start = work.start
        self.x = self.torch.from_numpy(work.x.astype(np.float32))

    def run(self, iterations):
        parts = [
            self.normal(
                mean.astype(np.float32),
                covariance_of(self.start, k).astype(np.float32),
                covariance_type=self.family,
            )
            for k, mean in enumerate(self.start.means)
        ]
        priors = self.start.weights.astype(np.float32)
        model = self.mixture(parts, priors=priors, max_iter=iterations, tol=-np.inf)
        started = time.perf_counter()
        model.fit(self.x)
        seconds = time.perf_counter() - started
        reached = Mixture(
            normalised(model.priors.numpy()),
            np.stack([p.means.numpy() for p in parts]).astype(np.float64),
            np.stack([p.covs.numpy() for p in parts]).astype(np.float64),
            self.family,
        )
        return Run(seconds, iterations, reached)


class PlainNumpy:
    """EM as a script would have it: arrays of samples × components, a loop over components."""

    name = "plain NumPy"
    patience = 0.5
    note = "stands for the original script"

    def __init__(self, work):
        self.x = work.x
        self.start = work.start

    def run(self, iterations):
        started = time.perf_counter()
        mixture = self.start
        for _ in range(iterations):
            joint = log_joint(self.x, mixture)
            resp = np.exp(joint - log_sum_exp(joint)[:, None])
            mixture = m_step(self.x, resp, mixture.family)
        log_sum_exp(log_joint(self.x, mixture))  # the others report where they got, too
        return Run(time.perf_counter() - started, iterations, mixture)


def m_step(x, resp, family):
    """The next mixture from responsibilities, (n, K)."""
    n_k = resp.sum(axis=0)
    means = (resp.T @ x) / n_k[:, None]
    scatter = []
    for k, mean in enumerate(means):
        centred = x - mean
        if family in ("full", "tied"):
            scatter.append((resp[:, k, None] * centred).T @ centred)
        else:
            scatter.append(resp[:, k] @ centred**2)
    scatter = np.stack(scatter)
    if family == "tied":
        covariances = scatter.sum(axis=0) / n_k.sum()
    else:
        covariances = scatter / n_k.reshape(-1, *[1] * (scatter.ndim - 1))
    if family == "spherical":
        covariances = covariances.mean(axis=1)
    return Mixture(n_k / n_k.sum(), means, covariances, family)


def normalised(weights):
    """Weights as float64 that sum to 1."""
    weights = np.ravel(weights).astype(np.float64)
    return weights / weights.sum()


def installed(module):
    """Whether a peer can be imported (an optional one may also be broken)."""
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    return True


# What each needs, the families that it has, and who runs.
PEERS = {
    "scikit-learn": ("sklearn", FAMILIES, (ScikitLearn,)),
    "oneDAL": ("daal4py", ONEDAL_STORAGE, (OneDal, partial(OneDal, dtype=np.float32))),
    "pomegranate": ("pomegranate", POMEGRANATE_FAMILIES, (Pomegranate,)),
    "numpy": ("numpy", FAMILIES, (PlainNumpy,)),
}


def competitors_of(work, peers=tuple(PEERS)):
    """Competitors for one row, ours first, and what is missing, {name: why}.

    Ours are made and run first: daal4py brings a TBB of its own, which Numba would otherwise take
    for its threads, and a user's process has none.
    """
    found, missing = [Ours(work, np.float64), Ours(work, np.float32)], {}
    found[0].run(1)
    for name, (module, families, kinds) in PEERS.items():
        if name not in peers:
            continue
        if work.row.family not in families:
            missing[name] = "no such family"
        elif not installed(module):
            missing[name] = "not installed"
        else:
            found += [kind(work) for kind in kinds]
    return found, missing
