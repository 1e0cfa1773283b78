"""`bontea ls`: the names there are, and a reader that stops reading."""

import json
import subprocess
import sys

from bontea import ADVANTAGES
from bontea.cli import main


def test_every_estimator_with_its_parameters(capsys):
    assert main(["ls", "estimators", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["estimators"]
    assert [name.partition("(")[0] for name in listed] == list(ADVANTAGES)
    assert "max_at_k(k)" in listed


def test_a_closed_pipe_is_no_bad_input():
    process = subprocess.Popen(
        [sys.executable, "-m", "bontea", "ls"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.close()  # as `| head -0` does
    assert process.stderr.read() == ""
    assert process.wait() == 1
