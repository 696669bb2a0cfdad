"""Command lines, run in this process."""

import shlex

from click.testing import CliRunner

from gmm_fast.cli.main import main


def run(line, code=0):
    """Run a command line; its result, after a check of the exit status."""
    result = CliRunner().invoke(main, shlex.split(line), catch_exceptions=False)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result
