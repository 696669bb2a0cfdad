"""Which K and family: criteria, silhouettes, cross-validation, the search and its choice."""
