"""Write files whole or not at all: archives of arrays, model files, tables."""
