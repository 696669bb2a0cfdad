"""The Python face: the estimator, its parameters, search, files of models, conversion."""
