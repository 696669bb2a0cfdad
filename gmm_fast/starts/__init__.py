"""Finds where EM starts: samples, seeds, partitions, the race, local moves, wide data, scoring."""
