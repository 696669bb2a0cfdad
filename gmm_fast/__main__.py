"""`python -m gmm_fast`: the command line."""

from .cli import main

main(prog_name="gmm-fast")
