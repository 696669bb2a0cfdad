"""All compiled code. `gaussian`: densities and moments; `kmeans`: seeding; `pairs`: silhouette.

Each file stands alone, because Numba's disk cache looks only at the file of the function called.
"""
