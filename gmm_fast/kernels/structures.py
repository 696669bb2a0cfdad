"""What the kernel of short runs calls the M-steps that it knows."""

# A matrix, or variances, or one variance, for each component; one matrix for all of them.
FULL, TIED, DIAG, SPHERICAL = range(4)
