"""Draw mixtures: clusters, uncertainty, silhouettes, log-likelihood, criteria.

    from gmm_fast import plots
    ax = plots.clusters(model, X)
    plots.save(ax, "clusters.png")

Every function draws on the given `ax`, or on a new figure that needs no display, and returns the
Axes. They need matplotlib: `pip install 'gmm-fast[plot]'`.
"""

from .canvas import save
from .figures import clusters, criteria, loglik, silhouette, uncertainty

__all__ = ["clusters", "criteria", "loglik", "save", "silhouette", "uncertainty"]
