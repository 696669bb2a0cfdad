"""What a mixture is: parameters, families of covariances, statistics, densities, samples."""
