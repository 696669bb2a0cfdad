"""Pictures of mixtures: clusters, uncertainty, silhouettes, log-likelihood, criteria.

    from gmm_fast import plots
    ax = plots.clusters(model, X)
    plots.save(ax, "clusters.png")

Every function draws on the `ax` that it is given, or on a new figure that needs no display, and
returns the Axes. `pip install 'gmm-fast[plot]'` installs matplotlib, which they need.
"""

from .canvas import save
from .figures import clusters, criteria, loglik, silhouette, uncertainty

__all__ = ["clusters", "criteria", "loglik", "save", "silhouette", "uncertainty"]
