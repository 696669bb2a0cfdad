"""Names that calls and the command line accept; no imports, so that `--help` is fast."""

FAMILIES = ("full", "tied", "diag", "spherical")
FAMILY = FAMILIES[0]  # the default
INITS = ("auto", "k-means++", "kmeans", "random", "random_from_data")
CRITERIA = ("bic", "aic", "icl", "silhouette", "cv")
