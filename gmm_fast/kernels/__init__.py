"""All compiled code.

`gaussian` the fused pass over blocks of samples; `tiles` its arithmetic on the explicit vectors of
`vector`, `products` that of families whose pass is a product of matrices, and `plain` the same in
NumPy; `block` what is done to a block besides (load, normalise, write); `short` whole iterations on
few samples; `elementary` exp and log; `cholesky` inverse factors; `kmeans` seeding; `newcomers`
single components beside a mixture; `pairs` the silhouette; `_options` compiler options and cache
key.
"""
