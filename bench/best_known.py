"""A long random-swap search over the public API: what likelihood is there to be found?

    python bench/best_known.py                           # every case that has no value yet
    python bench/best_known.py digits_full10 --seconds 60

Takes one component away at random, puts one on a random row with the pooled covariance, runs a
dozen EM iterations, goes on with it where that looks promising, and keeps what is better and
sound, as the suite means it. Of many rows some are searched, and all fitted at the end. Slow and
plain on purpose: it is a yardstick for starts, not a start. What is better than in best_known.json
goes there.
"""

import argparse
import json
import time
import warnings
from dataclasses import replace

import numpy as np
import sklearn.mixture
import starts_cases
from starts_fits import BEST_KNOWN, best_known, unsound

from gmm_fast import GaussianMixture

# A sample: how far below the best a dozen iterations may leave a swap worth pursuing.
SLACK = 0.15
# Rows that are searched, about.
ROWS = 20_000
KNOWN = starts_cases.RUGGED_CASES | starts_cases.UNSEEN_CASES | starts_cases.SMOOTH_CASES


def fit(case, weights, means, covariances, iterations, tol=0.0):
    """EM from parameters."""
    if case.family in ("full", "tied"):
        precisions = np.linalg.inv(covariances)
        precisions = (precisions + np.swapaxes(precisions, -1, -2)) / 2
    else:
        precisions = 1 / covariances
    start = {"weights_init": weights, "means_init": means, "precisions_init": precisions}
    options = {"covariance_type": case.family, "max_iter": iterations, "tol": tol}
    return GaussianMixture(case.k, **options, **start).fit(case.x)


def again(case, model, iterations, tol):
    """EM from where a fit of either library ended."""
    return fit(case, model.weights_, model.means_, model.covariances_, iterations, tol)


def starts(case, seed):
    """Fits to begin with: our own, and one from scikit-learn."""
    how = {"covariance_type": case.family}
    for i in range(3):
        options = {"random_state": 10 * seed + i, "n_init": 3, "tol": 1e-5, "max_iter": 400}
        yield GaussianMixture(case.k, **how, **options).fit(case.x)
    other = sklearn.mixture.GaussianMixture(case.k, **how, random_state=seed).fit(case.x)
    yield again(case, other, 400, 1e-5)


def sound(case, model):
    return not unsound(model, case.x)


def swapped(case, best, rng):
    """A fit with one component of `best` elsewhere, pursued if it is promising."""
    weights, means = best.weights_.copy(), best.means_.copy()
    covariances = best.covariances_.copy()
    j = rng.integers(case.k)
    means[j], weights[j] = case.x[rng.integers(len(case.x))], 1 / case.k
    if case.family != "tied":
        covariances[j] = np.tensordot(best.weights_, best.covariances_, 1)
    found = fit(case, weights / weights.sum(), means, covariances, 12)
    if found.lower_bound_ > best.lower_bound_ - SLACK and sound(case, found):
        found = again(case, found, 80, 1e-5)
    return found


def search(case, seconds, seed):
    """The best fit found in `seconds` of swaps, and their number; None without a sound one."""
    rng, whole = np.random.default_rng(seed), case
    case = replace(case, x=case.x[:: max(1, len(case.x) // ROWS)])
    begun = [model for model in starts(case, seed) if sound(case, model)]
    if not begun:
        return None, 0
    best, swaps = max(begun, key=lambda model: model.lower_bound_), 0
    end = time.perf_counter() + seconds
    while time.perf_counter() < end and case.k > 1:
        swaps += 1
        try:
            found = swapped(case, best, rng)
        except (ValueError, RuntimeError):  # what was to start from is singular
            continue
        if found.lower_bound_ > best.lower_bound_ + 1e-5 and sound(case, found):
            best = found
    final = again(whole, best, 3000, 1e-8)
    return (final if sound(whole, final) else None), swaps


def entry(case, seconds):
    """What two runs find, as JSON values; None without a sound fit."""
    found = []
    for seed in (1, 2):
        model, swaps = search(case, seconds / 2, seed)
        if model is not None:
            rows = float(model.weights_.min()) * len(case.x)
            found.append((model.lower_bound_, swaps, rows))
    if not found:
        return None
    (best, swaps, rows), *others = sorted(found, reverse=True)
    same = "both runs" if others and best - others[0][0] < 1e-4 else "one of two runs"
    return {
        "case": str(case),
        "mean_log_likelihood": round(best, 6),
        "found": f"{same}, some {swaps} swaps each",
        "smallest_component": round(rows, 1),
    }


def better(found, before):
    """Whether a search found more than what is kept, or that is of other data."""
    if found is None or before is None or before["case"] != found["case"]:
        return found is not None
    return before["mean_log_likelihood"] < found["mean_log_likelihood"] - 1e-6


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", help=", ".join(KNOWN))
    parser.add_argument("--seconds", type=float, default=20.0, help="of swaps for each case")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    kept = dict(best_known())
    for name in args.cases or [name for name in KNOWN if name not in kept]:
        found = entry(KNOWN[name].ready(), args.seconds)
        print(name, found, flush=True)
        if better(found, kept.get(name)):
            kept[name] = found
            BEST_KNOWN.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
