"""Log-likelihoods that default fits reach, ours beside scikit-learn's, at the same tol.

    python bench/quality.py            # pixels of china.jpg, K = 8, seeds 0 to 2

Higher is better. Both converge by tol 1e-3; scikit-learn with n_init=1 starts from one k-means,
gmm-fast from the best of its race.
"""

import argparse
import time

import numpy as np
from sklearn.datasets import load_sample_image
from sklearn.mixture import GaussianMixture as ScikitLearn

from gmm_fast import GaussianMixture


def fitted(kind, k, seed, x):
    """Mean log-likelihood, iterations and seconds of a default fit."""
    started = time.perf_counter()
    model = kind(k, random_state=seed).fit(x)
    seconds = time.perf_counter() - started
    return model.score(x), model.n_iter_, seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--k", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    x = load_sample_image("china.jpg").reshape(-1, 3).astype(np.float64)
    GaussianMixture(args.k).fit(x[:1000])  # compile
    print(f"china.jpg, {len(x):,} x 3, K = {args.k}: mean log-likelihood, iterations, seconds")
    for seed in range(args.seeds):
        for kind, name in ((GaussianMixture, "gmm-fast"), (ScikitLearn, "scikit-learn")):
            reached, iterations, seconds = fitted(kind, args.k, seed, x)
            print(f"  seed {seed}  {name:13} {reached:.5f}  {iterations:3d}  {seconds:6.2f}")


if __name__ == "__main__":
    main()
