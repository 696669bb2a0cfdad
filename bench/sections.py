"""Whole fits, scoring, silhouettes, threads, memory and processes: what a user waits for."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numba
import numpy as np
import targets
from competitors import Ours
from large import peak_of
from report import Figure, ceiling, spread
from sklearn.datasets import load_sample_image
from sklearn.mixture import GaussianMixture as ScikitLearn
from timing import measure, timed
from work import Row, Work, blobs

from gmm_fast import GaussianMixture
from gmm_fast.backends import LocalBackend
from gmm_fast.selection.criteria import SilhouetteSample
from gmm_fast.sources import open_source

# A mean log-likelihood that is lower by more than this is worse.
ROUNDING = 1e-6
# Loads data, imports, says what memory that takes, and fits.
FIT_PROGRAM = """
import os, sys, warnings
import numpy as np
from large import anonymous_bytes
from gmm_fast import GaussianMixture

warnings.simplefilter("ignore")
path, how, k, max_iter = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
data = np.load(path) if how == "array" else np.load(path, mmap_mode="r")
if "warm" in sys.argv:
    GaussianMixture(k, max_iter=1).fit(np.array(data[: 50 * k]))
print(anonymous_bytes(os.getpid()))
GaussianMixture(k, max_iter=max_iter, random_state=0).fit(data if how == "array" else path)
"""


def data_of(row, seed):
    return blobs(row.n, row.d, row.k, np.random.default_rng(seed))[0]


def fits(rounds, rows=targets.FITS):
    """Default fits beside scikit-learn's, and the share of the start."""
    figures = []
    for row, target in rows.items():
        figures += fit_figures(row, data_of(row, 1), (0, 1), rounds, target)
    return figures


def quality(rounds, k=8, seeds=(0, 1, 2)):
    """The same on the pixels of a photo, where optima are many; once, for the likelihoods."""
    x = load_sample_image("china.jpg").reshape(-1, 3).astype(np.float64)
    return fit_figures(Row(*x.shape, k), x, seeds, 1)


def fit_figures(row, x, seeds, rounds, target=None):
    """Time of all seeds beside scikit-learn's, and where ours is worse; the share of the start."""
    GaussianMixture(row.k, random_state=0).fit(x[: 100 * row.k])  # compile
    spent, starts, details, worse = np.zeros(2), [], [], []
    for seed in seeds:
        ours = [timed(GaussianMixture(row.k, random_state=seed).fit, x) for _ in range(rounds)]
        theirs, peer = timed(ScikitLearn(row.k, random_state=seed).fit, x)
        seconds, model = statistics.median(s for s, _ in ours), ours[-1][1]
        starts += [100 * m.result_.seconds["init"] / s for s, m in ours]
        spent += seconds, theirs
        reached, other = model.score(x), peer.score(x)
        details.append(
            f"seed {seed}: {seconds:.3f} s and {theirs:.2f} s, mean log-likelihood {reached:.6f} "
            f"and {other:.6f}, {model.n_iter_} and {peer.n_iter_} iterations"
        )
        if not reached >= other - ROUNDING:
            worse.append(f"worse by {other - reached:.2g} a sample with seed {seed}")
    what, more = f"default fit {row}", {"detail": "; ".join(details), "wrong": ", ".join(worse)}
    limit = None if target is None else 100 * targets.INIT_SHARE
    took = "; ".join(f"{name} {1e3 * s:.0f} ms" for name, s in model.result_.seconds.items())
    return [
        Figure(f"{what}: faster than scikit-learn", spent[1] / spent[0], "×", target, **more),
        ceiling(f"{what}: share of the start", statistics.median(starts), "%", limit, took),
    ]


def scoring(rounds, rows=targets.SCORING):
    """`predict` and `score_samples` beside scikit-learn's, with the same parameters."""
    figures = []
    for row, target in rows.items():
        x = data_of(row, 1)
        model = GaussianMixture(row.k, random_state=0, tol=0.1).fit(x)
        peer = ScikitLearn(row.k, covariance_type=row.family)
        for name in ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"):
            setattr(peer, name, getattr(model, name))
        for method in ("predict", "score_samples"):
            getattr(model, method)(x)  # compile
            pairs = [[timed(getattr(m, method), x) for m in (model, peer)] for _ in range(rounds)]
            mine, other = (
                statistics.median(s for s, _ in runs) for runs in zip(*pairs, strict=True)
            )
            what, detail = f"{method} {row}", f"{1e3 * mine:.1f} ms and {1e3 * other:.0f} ms"
            wrong = "" if agree(*(found for _, found in pairs[-1])) else "results differ"
            more = {"detail": detail, "wrong": wrong}
            figures.append(
                Figure(f"{what}: faster than scikit-learn", other / mine, "×", target, **more)
            )
    return figures


def agree(ours, theirs):
    """Same labels, but for ties, or same values."""
    if ours.dtype.kind == "i":
        return np.mean(ours != theirs) < 1e-6
    return np.allclose(ours, theirs, rtol=1e-9, atol=1e-9)


def silhouette(rounds, n=targets.SILHOUETTE_ROWS, d=8):
    """Several labelings of the same rows."""
    rng = np.random.default_rng(2)
    sample = SilhouetteSample(LocalBackend(open_source(blobs(n, d, 8, rng)[0])), n)
    labelings = [rng.integers(0, 2 + i, n) for i in range(targets.SILHOUETTE_LABELINGS)]
    sample.silhouettes(labelings)  # compile
    seconds = [timed(sample.silhouettes, labelings)[0] for _ in range(rounds)]
    what = f"silhouette of {len(labelings)} labelings of {n:,} × {d}"
    return [ceiling(what, statistics.median(seconds), "s", targets.SILHOUETTE_SECONDS)]


def threads(rounds, budget, shapes=None):
    """All threads beside one, at the full rows."""
    most = numba.config.NUMBA_NUM_THREADS
    if most == 1:
        return []
    figures = []
    for row in shapes or [row for row in targets.ROWS if row.family == "full"]:
        work = Work.make(row)
        team = [Ours(work, np.float64, threads=count) for count in (most, 1)]
        found, _ = measure(work, team, rounds, budget, most)
        many, one = (found[c.name].median for c in team)
        detail = "; ".join(f"{name} {spread(m.seconds)} ms" for name, m in found.items())
        # the target is two threads'; the same efficiency of more
        goal, what = targets.THREADS * most / 2, f"{row}: {most} threads beside one"
        figures.append(Figure(what, one / many, "×", goal, detail=detail))
    return figures


def memory(rounds, row=targets.MEMORY_ROW, max_iter=3):
    """Anonymous memory of fits above the level with the data loaded, MB.

    An array is in memory before the fit; a file is not, and what the fit holds of it counts.
    """
    if not Path("/proc/self/status").exists():
        return []
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.npy"
        np.save(path, data_of(row, 3))
        for how in ("array", "file"):
            command = [sys.executable, "-c", FIT_PROGRAM, path, how, row.k, max_iter]
            cold, warm = (beyond([*command, *more]) for more in ((), ("warm",)))
            what = f"memory beyond the data, {row}, {how}"
            detail = f"{warm:.0f} MB where compiled kernels were loaded before"
            figures.append(ceiling(what, cold, "MB", targets.MEMORY_MB, detail))
    return figures


def beyond(command):
    """Peak of a program above the level that it prints, MB; it imports from this folder."""
    before, peak, _ = peak_of([str(part) for part in command], Path(__file__).parent)
    return (peak - int(before)) / 1e6


def processes(rounds, row=targets.PROCESS_ROW):
    """First fit with nothing compiled, later fits, `--help`."""
    script = Path(sys.executable).with_name("gmm-fast")  # the installed command, else the module
    program = [str(script)] if script.exists() else [sys.executable, "-m", "gmm_fast"]
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "data.npy", data_of(row, 3))
        env = os.environ | {"NUMBA_CACHE_DIR": str(Path(folder) / "cache")}

        def seconds(*arguments):
            started = time.perf_counter()
            done = subprocess.run([*program, *arguments], cwd=folder, env=env, capture_output=True)
            took = time.perf_counter() - started
            if done.returncode:
                raise SystemExit(f"gmm-fast {' '.join(arguments)} failed:\n{done.stderr.decode()}")
            return took

        fit = ("fit", "--k", str(row.k), "data.npy", "--no-model")
        first, later = [seconds(*fit)], [seconds(*fit) for _ in range(rounds)]
        seconds("--help")  # compiles the byte code of a new checkout
        shown = [seconds("--help") for _ in range(rounds)]
    size = f"{row.n:,} × {row.d}"
    measured = (
        (f"first `gmm-fast fit` ever, {size}", first, targets.FIRST_FIT_SECONDS),
        (f"later `gmm-fast fit`, {size}", later, targets.FIT_SECONDS),
        ("`gmm-fast --help`", shown, targets.HELP_SECONDS),
    )
    return [
        ceiling(what, statistics.median(s), "s", target, f"{min(s):.2f} to {max(s):.2f}")
        for what, s, target in measured
    ]
