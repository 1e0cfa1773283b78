"""`bontea rules` as a person runs it: the table, what it says, figures, JSON, and bad input."""

import json

import numpy as np
import pytest

import bontea
from bontea.cli import main
from bontea.curves import compare_rules

pytest.importorskip("polars")
RNG = np.random.default_rng(0)
P, M = 12, 8
GIVEN = RNG.integers(3, 6, (P, M))
RIGHT = (GIVEN == 4).astype(float)
SCORES = np.round(RIGHT + RNG.random((P, M)), 3)
FORMS = ["So \\boxed{%d}.", "The answer is %d.0.", "#### %d", "It is\n(%d + 0)/1, hard to say"]


@pytest.fixture
def run(capsys):
    """Exit code, stdout and stderr of `bontea rules ...`."""

    def go(*arguments):
        code = main(["rules", *map(str, arguments)])
        return code, *capsys.readouterr()

    return go


def write(path, **change):
    rows = [
        {
            "prompt_id": p,
            "rollout": j,
            "reward": SCORES[p, j],
            "correct": RIGHT[p, j],
            "completion": FORMS[j % 4] % GIVEN[p, j],
            "answer": "4",
        }
        | {name: value[p][j] if np.ndim(value) else value for name, value in change.items()}
        for p in range(P)
        for j in range(M)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def file(tmp_path):
    return write(tmp_path / "a.jsonl")


# The fourth form has no answer that the default finds.
ANSWERS = [[None if j % 4 == 3 else str(GIVEN[p, j]) for j in range(M)] for p in range(P)]
TRUE = np.array([[float(answer == "4") for answer in row] for row in ANSWERS])


def test_chosen_by_the_reward_measured_by_the_right_answer(run, file):
    code, out, err = run(file, "--answer-column", "answer")
    assert (code, err) == (0, "")
    assert out.startswith("share of right answers, mean over prompts, 95 % interval; 12 prompts")
    cells = [line.split("│")[1:-1] for line in out.splitlines() if line.startswith("│")]
    assert [row[0].strip() for row in cells] == ["1", "2", "4", "8"]
    found = compare_rules(SCORES, answers=ANSWERS, measure=TRUE, rng=0)
    for at, rule in enumerate(("best", "majority", "weighted", "pass^k"), 1):
        value, low, high = found.curves[rule].at(8)
        assert float(cells[-1][at].split("[")[0]) == pytest.approx(value, abs=0.06)
        if rule == "majority":
            assert f"[{low:.2f}, {high:.2f}]" in cells[-1][at]
    assert "24 of 96 responses (25 %) have no answer that could be found" in out
    assert "more than one response" in out


def test_json_has_every_number(run, file):
    code, out, err = run(
        file, "--measure", "correct", "--rules", "best,weighted,top4", "--ks", "1,4,8", "--json",
        "--seed", 3, "--confidence-level", 0.8, "--subsets", 30,
    )  # fmt: skip
    assert (code, err) == (0, "")
    got = json.loads(out)
    found = compare_rules(
        SCORES,
        [1, 4, 8],
        rules=["best", "weighted", "top4"],
        answers=ANSWERS,
        measure=RIGHT,
        confidence_level=0.8,
        subsets=30,
        rng=3,
    )
    assert (got["version"], got["seed"], got["measured"]) == (bontea.__version__, 3, "correct")
    assert (got["prompts"], got["rollouts"], got["left_out"], got["answered"]) == (12, 96, 0, 0.75)
    for rule, curve in found.curves.items():
        for name in ("value", "low", "high", "standard_error"):
            expected = [None if np.isnan(x) else x for x in getattr(curve, name)]
            assert got["rules"][rule][name] == expected
    assert got["rules"]["weighted"]["monte_carlo_standard_error"][1] > 0
    assert [one["rule"] for one in got["leaders"]] == [one.rule for one in found.leaders]


def test_select_is_the_score(run, file):
    code, out, _ = run(file, "--select", "correct", "--json")
    assert code == 0
    got = json.loads(out)
    assert got["measured"] == "correct"
    oracle = compare_rules(RIGHT, rules=["best"], rng=0)
    assert got["rules"]["best"]["value"] == pytest.approx(oracle.curves["best"].value.tolist())
    assert "weighted" not in got["rules"]


def test_a_normaliser_of_the_user(run, file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = "import re\ndef last(text): return re.findall('[3-6]', text)[0]\n"
    (tmp_path / "my_answers.py").write_text(code)
    code, out, _ = run(file, "--rules", "majority", "--normaliser", "my_answers:last", "--json")
    assert code == 0
    found = compare_rules(SCORES, rules=["majority"], answers=GIVEN, rng=0)
    got = json.loads(out)
    assert got["answered"] == 1
    assert got["rules"]["majority"]["value"] == found.curves["majority"].value.tolist()


def test_figure(run, file, tmp_path):
    pytest.importorskip("matplotlib")
    code, _, err = run(file, "--png", tmp_path / "rules.png", "--rules", "best,top4")
    assert code == 0
    assert err.endswith("rules.png\n")
    assert (tmp_path / "rules.png").read_bytes().startswith(b"\x89PNG")


def test_figure_says_what_is_drawn():
    pytest.importorskip("matplotlib")
    from bontea.report.rules import plot_rules

    found = compare_rules(SCORES, rules=["threshold", "pass^k"], threshold=0.5, rng=0)
    _, ax = plot_rules(found, "right")
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["threshold, 0.5", "pass^k, 0.5"]
    assert ax.get_ylabel() == "right (mean, 95 % interval)"


def test_no_votes_without_responses(run, tmp_path):
    file = write(tmp_path / "a.jsonl", completion=None)
    code, out, _ = run(file, "--measure", "correct")
    assert code == 0
    assert "majority" not in out.split("no votes")[0]
    assert "no votes: " in out
    code, _, err = run(file, "--rules", "majority")
    assert (code, err.count("\n")) == (2, 1)
    assert "no responses in it (completion)" in err


def test_no_votes_without_answers(run, tmp_path):
    file = write(tmp_path / "a.jsonl", completion="I cannot say.")
    code, out, _ = run(file)
    assert code == 0
    assert "no votes: none of the 96 responses has a final answer" in out
    code, _, err = run(file, "--rules", "majority")
    assert code == 2
    assert "none of the 96 responses has an answer" in err


def test_missing_scores_are_counted(run, tmp_path):
    scores = SCORES.astype(object)
    scores[:, 1] = None
    code, out, _ = run(write(tmp_path / "a.jsonl", reward=scores), "--measure", "correct")
    assert code == 0
    assert "12 of 96 rollouts have no score or no measure and do not count" in out


def test_cut_off_responses(run, tmp_path):
    reason = [["length" if j == 0 else "stop" for j in range(M)] for _ in range(P)]
    file = write(tmp_path / "a.jsonl", finish_reason=reason)
    code, out, _ = run(file, "--measure", "correct", "--cut-off", "drop", "--json")
    assert code == 0
    found = compare_rules(SCORES[:, 1:], rules=["best"], measure=RIGHT[:, 1:], rng=0)
    assert json.loads(out)["rules"]["best"]["value"] == found.curves["best"].value.tolist()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rules", "vote"], "rule 'vote' is not known"),
        (["--ks", "1,99"], "k = 99 exceeds the 8 rollouts of prompt '0'"),
        (["--ks", "0"], "--ks 0: give whole numbers of at least 1"),
        (["--ks", "a"], "--ks a: give whole numbers"),
        (["--measure", "nothing"], "'nothing'"),
        (["--answer-column", "nothing"], "'nothing'"),
        (["--measure", "correct", "--answer-column", "answer"], "two measures: give one"),
        (["--select", "correct", "--reward-column", "reward"], "both name the score"),
        (["--normaliser", "nowhere:f"], "no module 'nowhere'"),
        (["--normaliser", "math:sqrt"], "math:sqrt raised TypeError"),
        (["--rules", "pass^k"], "success has to be defined"),
        (["--rules", "threshold"], "--threshold T"),
        (["--threshold", "nan"], "threshold=nan"),
        (["--seed", -1], "--seed -1"),
        (["--confidence-level", 2], "--confidence-level 2"),
        (["--subsets", 0], "subsets=0"),
        (["--png", "rules.pdf"], "must be the name of a .png file"),
        (["--model", "other"], "holds no rollouts of model 'other'"),
    ],
)
def test_bad_input_is_one_line(run, file, arguments, message):
    code, out, err = run(file, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
