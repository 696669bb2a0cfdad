"""Choose K and the family: criteria, silhouettes, cross-validation, the search."""
