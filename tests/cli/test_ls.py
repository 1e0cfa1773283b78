"""`bontea ls`: the names there are, and a reader that stops reading."""

import json
import subprocess
import sys

from bontea import ADVANTAGES, cli
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


def test_ctrl_c_is_one_line_and_code_130(monkeypatch, capsys):
    def interrupted(args):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.COMMANDS["ls"], "run", interrupted)
    assert main(["ls"]) == 130
    assert capsys.readouterr().err.strip() == "bontea ls: stopped"
