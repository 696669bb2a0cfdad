"""Where EM starts: samples, seeds, partitions, the race, moves, wide data, the judge of them."""
