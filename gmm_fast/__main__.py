"""`python -m gmm_fast`: the command line."""

from .cli.main import main

if __name__ == "__main__":  # not in the workers that it starts, which import it anew
    main(prog_name="gmm-fast")
