"""Whole fits, scoring, silhouette and threads: what a user waits for."""

import statistics
import time
import warnings

import numba
import numpy as np
import rows
import targets
from figures import Figure, spread
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture as ScikitLearn
from timing import PAUSE
from work import blobs

from gmm_fast import GaussianMixture, em, fitting, starting
from gmm_fast.backends import LocalBackend
from gmm_fast.criteria import SilhouetteSample
from gmm_fast.sources import open_source

SEEDS = (0, 1)
# A mean log-likelihood that is lower by more than this is worse.
ROUNDING = 1e-6


def seconds_of(function, *arguments):
    """Wall time of one call and what it returned."""
    time.sleep(PAUSE)
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        result = function(*arguments)
    return time.perf_counter() - started, result


def data_of(row, seed=1):
    return blobs(row.n, row.d, row.k, np.random.default_rng(seed))[0]


def default_fits(rounds, fits=None):
    """Default fits beside scikit-learn's, and the share of the start."""
    figures = []
    for row, target in (targets.FITS if fits is None else fits).items():
        x = data_of(row)
        GaussianMixture(row.k, random_state=0).fit(x[: 100 * row.k])  # compile
        pairs = [fit_both(row, x, seed, rounds) for seed in SEEDS]
        figures.append(fit_figure(row, pairs, target))
        figures.append(init_figure(row, x, rounds))
    return figures


def fit_both(row, x, seed, rounds):
    """(seconds, mean log-likelihood, iterations) of ours and of scikit-learn's."""

    def fitted(kind, times):
        runs = [seconds_of(kind(row.k, random_state=seed).fit, x) for _ in range(times)]
        model = runs[-1][1]
        return statistics.median(s for s, _ in runs), model.score(x), model.n_iter_

    return fitted(GaussianMixture, rounds), fitted(ScikitLearn, 1)


def fit_figure(row, pairs, target):
    """Time of all seeds beside scikit-learn's, where both got, and where ours is worse."""
    details, worse = [], []
    for seed, (ours, theirs) in zip(SEEDS, pairs, strict=True):
        details.append(
            f"seed {seed}: {ours[0]:.3f} s and {theirs[0]:.2f} s, mean log-likelihood "
            f"{ours[1]:.6f} and {theirs[1]:.6f}, {ours[2]} and {theirs[2]} iterations"
        )
        if not ours[1] >= theirs[1] - ROUNDING:
            worse.append(f"worse by {theirs[1] - ours[1]:.2g} a sample with seed {seed}")
    return Figure(
        f"default fit {row}: faster than scikit-learn",
        sum(theirs[0] for _, theirs in pairs) / sum(ours[0] for ours, _ in pairs),
        "×",
        target,
        detail="; ".join(details),
        wrong=", ".join(worse),
    )


def init_figure(row, x, rounds):
    """Share of a default fit that the start takes."""
    shares = []
    for _ in range(rounds):
        time.sleep(PAUSE)
        started = time.perf_counter()
        backend, _, _ = fitting.open_backend(open_source(x), [row.family], [row.k])
        result = fitting.fit(backend, row.k, row.family, starting.Start(), em.Settings())
        shares.append(100 * result.seconds["init"] / (time.perf_counter() - started))
    return Figure(
        f"default fit {row}: share of the start",
        statistics.median(shares),
        "%",
        100 * targets.INIT_SHARE,
        at_least=False,
        detail=f"{1e3 * result.seconds['init']:.0f} ms; EM {1e3 * result.seconds['em']:.0f} ms",
    )


def scoring(rounds, sizes=None):
    """`predict` and `score_samples` beside scikit-learn's, with the same parameters."""
    figures = []
    for row, target in (targets.SCORING if sizes is None else sizes).items():
        x = data_of(row)
        model = GaussianMixture(row.k, random_state=0, tol=0.1).fit(x)
        peer = twin(model)
        for method in ("predict", "score_samples"):
            ours, theirs = [], []
            getattr(model, method)(x)  # compile
            for _ in range(rounds):
                ours.append(seconds_of(getattr(model, method), x))
                theirs.append(seconds_of(getattr(peer, method), x))
            figures.append(scoring_figure(f"{method} {row}", ours, theirs, target))
    return figures


def twin(model):
    """scikit-learn's estimator with the parameters of ours."""
    peer = ScikitLearn(model.n_components, covariance_type=model.covariance_type)
    for name in ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"):
        setattr(peer, name, getattr(model, name))
    return peer


def scoring_figure(what, ours, theirs, target):
    mine, other = (statistics.median(s for s, _ in runs) for runs in (ours, theirs))
    return Figure(
        f"{what}: faster than scikit-learn",
        other / mine,
        "×",
        target,
        detail=f"{1e3 * mine:.1f} ms and {1e3 * other:.0f} ms",
        wrong="" if agree(ours[-1][1], theirs[-1][1]) else "results differ",
    )


def agree(ours, theirs):
    """Same labels, but for ties, or same values."""
    if ours.dtype.kind == "i":
        return np.mean(ours != theirs) < 1e-6
    return np.allclose(ours, theirs, rtol=1e-9, atol=1e-9)


def silhouette(rounds, rows_=targets.SILHOUETTE_ROWS, d=8):
    """Several labelings of the same rows."""
    rng = np.random.default_rng(2)
    x = blobs(rows_, d, 8, rng)[0]
    sample = SilhouetteSample(LocalBackend(open_source(x)), rows_)
    counts = range(2, 2 + targets.SILHOUETTE_LABELINGS)
    labelings = [rng.integers(0, k, rows_) for k in counts]
    sample.silhouettes(labelings)  # compile
    seconds = [seconds_of(sample.silhouettes, labelings)[0] for _ in range(rounds)]
    return [
        Figure(
            f"silhouette of {len(labelings)} labelings of {rows_:,} × {d}",
            statistics.median(seconds),
            "s",
            targets.SILHOUETTE_SECONDS,
            at_least=False,
        )
    ]


def threads(rounds, budget, shapes=None):
    """All threads beside one, at the full rows."""
    if shapes is None:
        shapes = [row for row in targets.ROWS if row.family == "full"]
    if numba.config.NUMBA_NUM_THREADS == 1:
        return []
    figures = []
    for row in shapes:
        found = rows.threads_row(row, rounds, budget)
        many = found["threads"]
        figures.append(
            Figure(
                f"{row}: {many} threads beside one",
                found["ratio"],
                "×",
                # the target is two threads'; the same efficiency of more
                targets.THREADS * many / 2,
                detail="; ".join(f"{name} {spread(s)} ms" for name, s in found["seconds"].items()),
            )
        )
    return figures
