"""Defines a mixture: parameters, covariance families, statistics, densities, samples."""
