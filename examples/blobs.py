"""How many clusters? Four blobs, two of which touch: BIC, silhouette and DBSCAN do not agree.

    python examples/blobs.py [FOLDER]

prints the answers and writes blobs.png and blobs.criteria.png into FOLDER (by default, here).
"""

import sys
from pathlib import Path

import numpy as np
from sklearn.cluster import DBSCAN
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score

from gmm_fast import plots, search

folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
X, truth = make_blobs(2000, centers=4, cluster_std=0.9, random_state=2)

found = search(X, range(2, 11))
print(" K        BIC        ICL  silhouette")
for row in found.table:
    print(
        f"{row['n_components']:2} {row['bic']:10.1f} {row['icl']:10.1f} {row['silhouette']:11.4f}"
    )

by_silhouette = max(found.table, key=lambda row: row["silhouette"])
best = found.best
agreement = adjusted_rand_score(truth, best.predict(X))
print(f"BIC chooses K = {best.n_components}: adjusted Rand index {agreement:.3f} with the truth")
print(f"the silhouette chooses K = {by_silhouette['n_components']}")

# The silhouette asks whether samples are closer to their own cluster than to the next. For two
# blobs that touch the answer is "hardly", so it prefers them as one. BIC asks how probable the data
# is: one Gaussian over both blobs describes the gap between them badly, and two pay for their six
# parameters many times over.
means = best.means_
apart = np.linalg.norm(means[:, None] - means, axis=2)
i, j = np.unravel_index(np.argmin(apart + 1e9 * np.eye(len(means))), apart.shape)
print(f"the closest two components are {apart[i, j] / 0.9:.1f} standard deviations apart")

# DBSCAN joins what is dense without a gap, so it sees what the silhouette sees; its answer depends
# on eps, and it leaves samples without a cluster.
for eps in (0.3, 0.5, 0.7):
    labels = DBSCAN(eps=eps, min_samples=10).fit_predict(X)
    print(
        f"DBSCAN, eps = {eps}: {labels.max() + 1} clusters, {np.sum(labels < 0)} samples in none, "
        f"adjusted Rand index {adjusted_rand_score(truth, labels):.3f}"
    )

plots.clusters(best, X).figure.savefig(folder / "blobs.png")
plots.criteria(found).figure.savefig(folder / "blobs.criteria.png")
