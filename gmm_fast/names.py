"""What can be named on the command line and in calls: without imports, for `--help` needs them."""

FAMILIES = ("full", "tied", "diag", "spherical")
FAMILY = FAMILIES[0]  # where none is named
INITS = ("auto", "k-means++", "kmeans", "random", "random_from_data")
CRITERIA = ("bic", "aic", "icl", "silhouette", "cv")
