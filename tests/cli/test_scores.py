"""`--select` and `--measure` as a person uses them: table, figure, page, JSON, and bad input."""

import json

import numpy as np
import pytest

from bontea.cli import main
from bontea.curves import compare_selectors, two_scores
from bontea.planning import diagnose
from bontea.rollouts import as_rollouts, read_rollouts

pl = pytest.importorskip("polars")
RNG = np.random.default_rng(0)
S = RNG.normal(size=(30, 1)) + RNG.normal(size=(30, 32))
X = S - S.mean(1, keepdims=True)
JUDGE = 50 + 10 * X - 7 * X**2 + RNG.normal(size=S.shape)
OTHER = X + 3 * RNG.normal(size=S.shape)


@pytest.fixture
def run(capsys):
    """Exit code, stdout and stderr of `bontea ...`."""

    def go(*arguments):
        code = main([*map(str, arguments)])
        return code, *capsys.readouterr()

    return go


def write(path, rewards=S, judge=JUDGE, other=OTHER, **fields):
    rows = [
        {
            "prompt_id": p,
            "rollout": j,
            "reward": float(rewards[p, j]),
            "judge": None if np.isnan(judge[p, j]) else float(judge[p, j]),
            "other": float(other[p, j]),
            "completion": f"{p}-{j}",
        }
        | fields
        for p in range(len(rewards))
        for j in range(rewards.shape[1])
    ]
    if path.suffix == ".parquet":
        pl.DataFrame(rows, infer_schema_length=None).write_parquet(path)
    else:
        with path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    return path


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "a.jsonl")


def expected(**options):
    data = as_rollouts(S, scores={"judge": JUDGE, "other": OTHER})
    return two_scores(data, measure="judge", rng=0, **options)


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
def test_table(run, tmp_path, name):
    path = write(tmp_path / name)
    code, out, err = run("curve", path, "--select", "reward", "--measure", "judge")
    assert (code, err) == (0, "")
    assert out == f"{expected()}\n"
    assert expected().peak.verdict == "peaks"
    assert f"deploy N = {expected().peak.k}, and not the largest N" in out


def test_two_selectors_are_compared(run, path):
    code, out, _ = run(
        "curve", path, "--select", "reward", "--select", "other", "--measure", "judge",
        "--ks", "1,4,16",
    )  # fmt: skip
    assert code == 0
    assert "a by reward: selected by reward, measured by judge" in out
    assert "a by other: selected by other, measured by judge" in out
    pair = compare_selectors(
        as_rollouts(S, scores={"judge": JUDGE, "other": OTHER}),
        [1, 4, 16],
        selectors=("reward", "other"),
        measure="judge",
    )
    assert str(pair) in out


def test_two_models_and_json(run, tmp_path):
    a = write(tmp_path / "a.jsonl")
    b = write(tmp_path / "b.jsonl", judge=JUDGE - 3)
    code, out, err = run("curve", a, b, "--measure", "judge", "--ks", "1,4", "--json")
    assert (code, err) == (0, "")
    got = json.loads(out)
    assert [one["name"] for one in got["two_scores"]] == ["a", "b"]
    first = got["two_scores"][0]
    want = expected(ks=[1, 4])
    assert first["chosen"]["value"] == want.chosen.value.tolist()
    assert first["peak"]["k"] == want.peak.k
    assert first["regret"]["difference"] == want.regret.difference.tolist()
    assert "per_prompt" not in first["chosen"]
    (pair,) = got["models"]
    assert pair["difference"] == pytest.approx([3, 3])
    assert (pair["select"], pair["measure"]) == ("reward", "judge")


def test_select_alone_is_the_curve_of_that_score(run, path):
    code, out, _ = run("curve", path, "--select", "judge", "--ks", "1,8", "--json")
    by_column, _, _ = run("curve", path, "--reward-column", "judge", "--ks", "1,8")
    assert (code, by_column) == (0, 0)
    (got,) = json.loads(out)["curves"]
    rows = read_rollouts(path, also=["judge"])
    assert got["value"][0] == pytest.approx(np.nanmean(rows.score("judge")))
    _, out, _ = run("curve", path, "--select", "judge")
    assert out.startswith("best of k by judge, mean over prompts")


def test_figure_and_page(run, path, tmp_path):
    png, html = tmp_path / "c.png", tmp_path / "c.html"
    code, _, err = run(
        "curve", path, "--measure", "judge", "--ks", "1,4,16,32", "--png", png, "--html", html
    )
    assert code == 0
    assert f"wrote {png}" in err
    assert png.read_bytes().startswith(b"\x89PNG")
    page = html.read_text(encoding="utf-8")
    assert '<section id="scores"' in page
    assert f"deploy N = {expected(ks=[1, 4, 16, 32]).peak.k}" in page
    assert "The reward as a proxy" in page
    (charts,) = [
        json.loads(part.split("</script>")[0])
        for part in page.split('<script type="application/json" id="charts">')[1:]
    ]
    (chart,) = [chart for chart in charts if chart["id"] == "scores"]
    assert [trace["meta"]["role"] for trace in chart["traces"]] == [
        "band", "line beyond", "line", "ring",
    ]  # fmt: skip
    ring = chart["traces"][-1]
    peak = expected(ks=[1, 4, 16, 32]).peak
    assert ring["x"] == [peak.k]
    assert ring["error_x"]["array"] == [peak.high - peak.k]


def test_cut_off_worst_goes_for_both_scores(run, tmp_path):
    path = tmp_path / "r.jsonl"
    rows = [
        {"prompt_id": 0, "reward": 5.0, "judge": 9.0, "finish_reason": "length"},
        {"prompt_id": 0, "reward": 1.0, "judge": 4.0, "finish_reason": "stop"},
        {"prompt_id": 1, "reward": 2.0, "judge": 6.0, "finish_reason": "stop"},
        {"prompt_id": 1, "reward": 3.0, "judge": 8.0, "finish_reason": "stop"},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    arguments = ("curve", path, "--measure", "judge", "--ks", "1,2", "--json")
    _, out, _ = run(*arguments)
    assert json.loads(out)["two_scores"][0]["chosen"]["value"] == [6.75, (9 + 8) / 2]
    _, out, _ = run(*arguments, "--cut-off", "worst")
    # The first rollout ties with the second, at reward 1 and judge 4, the lowest of each.
    assert json.loads(out)["two_scores"][0]["chosen"]["value"] == [5.5, (4 + 8) / 2]


def test_another_reward_column_measured_by_the_field_reward(run, path):
    code, out, err = run(
        "curve", path, "--reward-column", "other", "--measure", "reward", "--ks", "1,8", "--json"
    )
    assert code == 0, err
    (got,) = json.loads(out)["two_scores"]
    want = two_scores(as_rollouts(OTHER, scores={"judge": S}), [1, 8], measure="judge", rng=0)
    assert (got["select"], got["measure"]) == ("other", "reward")
    assert got["chosen"]["value"] == pytest.approx(want.chosen.value.tolist())


def test_diagnose(run, path):
    code, out, _ = run("diagnose", path, "--measure", "judge", "--json")
    assert code == 0
    got = json.loads(out)
    assert "The reward as a proxy [look]" in got["page"]
    assert "climbs the proxy only, and the measure falls" in " ".join(got["page"].split())
    assert got["proxy"]["peak"]["k"] == expected().peak.k


def test_diagnose_without_a_measure_has_no_such_finding():
    found = diagnose(S, groups=640, rng=0)
    assert found["proxy"] is None
    assert "as a proxy" not in str(found)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--measure", "jugde"], "has no score 'jugde': no row has a number there; name one of"),
        (["--measure", "reward"], "a: reward selects and measures: name two scores"),
        (["--select", "judge", "--measure", "judge"], "judge selects and measures"),
        (["--measure", "completion"], "'completion' is not a score"),
        (["--select", "judge", "--select", "other"], "say with --measure NAME"),
        (["--select", "judge", "--select", "judge", "--measure", "other"], "given twice"),
        (["--measure", "judge", "--up-to", "64"], "a: k = 64 exceeds the 32 rollouts with reward"),
        (["--measure", "judge", "--ks", "1,33"], "nothing is predicted beyond them"),
    ],
)
def test_bad_input(run, path, arguments, says):
    code, out, err = run("curve", path, *arguments)
    assert (code, out) == (1, "") or (code, out) == (2, "")
    assert says in err
    assert "Traceback" not in err


def test_a_judge_of_the_best_only(run, tmp_path):
    judge = np.where(X > 0.5, JUDGE, np.nan)
    code, _, err = run("curve", write(tmp_path / "r.jsonl", judge=judge), "--measure", "judge")
    assert code != 0
    assert "their reward is lower than that of the others" in err
    assert "--rescore" in err
