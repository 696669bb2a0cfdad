"""Codes of the covariance structures that the kernel of short runs knows."""

# For each component a matrix (FULL), variances (DIAG) or one variance (SPHERICAL); one matrix for
# all components (TIED).
FULL, TIED, DIAG, SPHERICAL = range(4)
