"""All compiled code.

`gaussian` the fused pass, made of what `block` does to one block of samples and of the functions of
`elementary`; `kmeans` seeding; `pairs` the silhouette; `_options` compiler options and cache key.
"""
