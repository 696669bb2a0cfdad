"""All compiled code.

`gaussian` is the fused pass over blocks of samples; `tiles` its arithmetic on the explicit vectors
of `vector`, `products` the arithmetic of families whose pass is a matrix product, `plain` both in
NumPy, and `block` the rest of the work on a block (load, normalise, write). `short` runs whole
iterations on few samples; `moves` draws moves of components; `elementary` has exp and log;
`cholesky` inverse factors; `kmeans` distances for seeding; `newcomers` single components beside a
mixture; `pairs` distances for the silhouette; `structures` the codes of covariance structures;
`_options` compiler options and the cache key.
"""
