"""`bontea curve` as a person runs it: tables, verdicts, figures, JSON, and bad input."""

import json

import numpy as np
import pytest

import bontea
from bontea.cli import main
from bontea.curves import compare, curve, extrapolate
from bontea.report import plot_curves

pytest.importorskip("polars")
LEVEL = np.random.default_rng(0).normal(size=(30, 1))
REWARDS = LEVEL + np.random.default_rng(1).normal(size=(30, 32))
OTHER = LEVEL + 0.3 + 0.6 * np.random.default_rng(2).normal(size=(30, 32))


@pytest.fixture
def run(capsys):
    """Exit code, stdout and stderr of `bontea curve ...`."""

    def go(*arguments):
        code = main(["curve", *map(str, arguments)])
        return code, *capsys.readouterr()

    return go


def write(path, rewards, first=0, **fields):
    rows = [
        {"prompt_id": first + p, "rollout": j, "reward": float(r), "completion": f"{p}-{j}"}
        | fields
        for p, group in enumerate(rewards)
        for j, r in enumerate(group)
    ]
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return path


@pytest.fixture
def a(tmp_path):
    return write(tmp_path / "a.jsonl", REWARDS)


@pytest.fixture
def b(tmp_path):
    return write(tmp_path / "b.jsonl", OTHER)


def test_table(run, a):
    code, out, err = run(a)
    assert (code, err) == (0, "")
    assert out.startswith("best of k, mean over prompts, 95 % interval\n")
    assert "30 prompts x 32" in out
    ks = [line.split("│")[1].strip() for line in out.splitlines() if line.startswith("│")]
    assert ks == ["1", "2", "4", "8", "16", "32"]
    value, low, high = curve(REWARDS, rng=0).at(8)
    assert f"{value:.2f} [{low:.2f}, {high:.2f}]" in out
    assert "extrapolated" not in out


def test_json_is_only_json_and_all_of_it(run, a, b):
    code, out, err = run(a, b, "--json", "--up-to", 64, "--seed", 3, "--confidence-level", 0.8)
    assert (code, err) == (0, "")
    got = json.loads(out)
    assert got["version"] == bontea.__version__
    assert (got["seed"], got["confidence_level"]) == (3, 0.8)
    assert got["command"]
    line = curve(REWARDS, confidence_level=0.8, rng=3)
    beyond = extrapolate(REWARDS, [38, 45, 54, 64], confidence_level=0.8)
    first = got["curves"][0]
    assert (first["name"], first["prompts"], first["rollouts"]) == ("a", 30, 960)
    for name in ("ks", "value", "low", "high", "standard_error"):
        assert first[name] == getattr(line, name).tolist()
    assert first["method"] == "studentised"
    for name in ("ns", "value", "low", "high"):
        assert first["extrapolation"][name] == getattr(beyond, name).tolist()
    for name in ("verdict", "message", "refused"):
        assert first["extrapolation"][name] == getattr(beyond, name)
    pair = compare(REWARDS, OTHER, names=("a", "b"), confidence_level=0.8)
    (second,) = got["comparisons"]
    for name in ("difference", "low", "high", "superiority", "superiority_high", "decided"):
        assert second[name] == getattr(pair, name).tolist()
    assert second["flips"] == [list(flip) for flip in pair.flips]
    assert (second["verdict"], second["method"]) == (pair.verdict, "jackknife")
    assert second["message"] == pair.message


def test_beyond_the_sample_is_marked(run, a):
    code, out, _ = run(a, "--up-to", 128)
    assert code == 0
    rows = {line.split("│")[1].strip(): line for line in out.splitlines() if "│" in line}
    assert "~" not in rows["32"]
    assert "~" in rows["64"]
    assert "~" in rows["128"]
    prediction = extrapolate(REWARDS, [128])
    assert f"~ {prediction.value[0]:.2f} [" in rows["128"]
    assert f"{prediction.verdict}: {prediction.message}" in out
    assert "~ extrapolated: more responses than a prompt has rollouts" in out


@pytest.mark.parametrize(
    ("rewards", "up_to", "why"),
    [
        (REWARDS, "1e9", "N = 1,000,000,000 is more than 100 times the 960 rewards"),
        (np.round(REWARDS), "64", "the rewards are discrete"),
        (np.full((9, 8), 2.5), "64", "the rewards are constant"),
    ],
)
def test_refused(run, tmp_path, rewards, up_to, why):
    code, out, _ = run(write(tmp_path / "r.jsonl", rewards), "--up-to", up_to)
    assert code == 0
    assert f"nothing is predicted beyond k = {rewards.shape[1]}: {why}" in out
    assert "~" not in out


def test_up_to_inside_the_sample_ends_the_curve(run, a):
    got = json.loads(run(a, "--up-to", 8, "--json")[1])["curves"][0]
    assert got["ks"] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert got["extrapolation"] is None


def test_chosen_ks(run, a):
    code, out, _ = run(a, "--ks", "3,1,30")
    ks = [line.split("│")[1].strip() for line in out.splitlines() if line.startswith("│")]
    assert (code, ks) == (0, ["1", "3", "30"])
    got = json.loads(run(a, "--ks", "1,40", "--up-to", 100, "--json")[1])["curves"][0]
    assert (got["ks"], got["extrapolation"]["ns"]) == ([1], [40, 100])


def test_pass_at_k(run, tmp_path):
    path = write(tmp_path / "r.jsonl", REWARDS > 1)
    code, out, _ = run(path, "--up-to", 64)
    assert code == 0
    assert out.startswith("pass@k, mean over prompts")
    assert "beta-binomial" in out


def test_method(run, a):
    for method in ("bca", "jackknife"):
        got = json.loads(run(a, "--method", method, "--json")[1])["curves"][0]
        assert got["low"] == curve(REWARDS, method=method, rng=0).low.tolist()


def test_strata_of_the_file(run, tmp_path):
    path = write(tmp_path / "r.jsonl", REWARDS[:15], stratum="x")
    write(path, REWARDS[15:] + 9, first=15, stratum="y")
    got = json.loads(run(path, "--ks", 1, "--json")[1])["curves"][0]
    both = np.concatenate([REWARDS[:15], REWARDS[15:] + 9])
    expected = curve(both, [1], strata=["x"] * 15 + ["y"] * 15, rng=0)
    assert got["high"] == expected.high.tolist()


def test_several_models(run, tmp_path):
    path = write(tmp_path / "two.jsonl", REWARDS, model="small one")
    write(path, OTHER, model="large")
    code, out, err = run(path)
    assert (code, out) == (2, "")
    assert "2 models: choose with --model 'small one' large" in err
    code, out, _ = run(path, "--model", "large", "small one")
    assert code == 0
    pair = compare(OTHER, REWARDS, names=("large", "small one"), rng=0)
    assert out.endswith(f"\n{pair}\n")
    got = json.loads(run(path, "--model", "large", "--json")[1])
    assert [c["name"] for c in got["curves"]] == ["large"]
    code, _, err = run(path, "--model", "large", "huge")
    assert code == 2
    assert "'huge'" in err


def test_files_are_compared_with_the_first(run, a, b, tmp_path):
    (tmp_path / "more").mkdir()
    c = write(tmp_path / "more" / "a.jsonl", REWARDS[:20, :8] + 1)
    got = json.loads(run(a, b, c, "--json")[1])
    names = [str(a), str(b), str(c)]  # two files have one stem
    assert [curve["name"] for curve in got["curves"]] == names
    assert [pair["names"] for pair in got["comparisons"]] == [[names[0], n] for n in names[1:]]
    last = got["comparisons"][1]
    assert (last["prompts"], last["left_out"], last["ks"][-1]) == (20, 10, 8)


def test_figure(run, a, b, tmp_path):
    path = tmp_path / "curve.png"
    code, _, err = run(a, b, "--up-to", 256, "--png", path)
    assert code == 0
    assert path.read_bytes()[:4] == b"\x89PNG"
    assert f"wrote {path}" in err


def test_plot_goes_on_dashed():
    line, beyond = curve(REWARDS, rng=0), extrapolate(REWARDS, [16, 64, 128])
    refused = extrapolate(np.round(REWARDS), [128])
    _, ax = plot_curves(
        {"a": line, "b": curve(OTHER, rng=0)}, extrapolations={"a": beyond, "b": refused}
    )
    solid, dashed, other = ax.lines
    assert (solid.get_linestyle(), dashed.get_linestyle(), other.get_linestyle()) == (
        "-",
        "--",
        "-",
    )
    np.testing.assert_array_equal(dashed.get_xdata(), [32, 64, 128])
    np.testing.assert_array_equal(dashed.get_ydata(), [line.value[-1], *beyond.value[1:]])
    assert [bool(band.get_hatch()) for band in ax.collections] == [False, True, False]
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["a", "b", "extrapolated"]
    assert max(ax.get_xticks()) == 128
    assert len(ax.get_xticks()) <= 12


def test_names_in_a_plot_are_no_mathematics():
    names = ["a$b_{$", "_hidden", r"$\frac{1}{2}$"]
    fig, ax = plot_curves({name: curve(REWARDS, [1, 3], rng=0) for name in names})
    fig.canvas.draw()  # half a formula would raise here
    shown = [text.get_text() for text in ax.get_legend().get_texts()]
    assert shown == [r"a\$b_{\$", " _hidden", r"\$\frac{1}{2}\$"]


def test_plot_of_pass_at_k_says_so():
    _, ax = plot_curves({"a": curve(REWARDS > 1, rng=0)})
    assert ax.get_ylabel().startswith("pass@k")
    _, ax = plot_curves({"start": curve(REWARDS, [1, 3, 9], rng=0)})
    assert ax.get_xticks().tolist() == [1, 3, 9]
    assert ax.get_ylabel().startswith("reward of the best of k (mean, 95 % interval)")


def test_page(run, a, b, tmp_path):
    path = tmp_path / "report.html"
    code, _, err = run(a, b, "--up-to", 64, "--html", path)
    assert code == 0
    assert f"wrote {path}" in err
    text = path.read_text(encoding="utf-8")
    assert "a - b" in text


def test_a_page_says_which_score_of_a_tools_file_it_shows(run, tmp_path):
    rows = [
        {"input": f"q{i % 9}", "output": "", "step": 1, "score": i, "acc": -i} for i in range(45)
    ]
    path = tmp_path / "1.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert run(path, "--reward-column", "acc", "--html", tmp_path / "r.html")[0] == 0
    assert "a verl rollout dump: reward = acc;" in (tmp_path / "r.html").read_text("utf-8")


# --- unusual and bad input ---------------------------------------------------------------------


def test_one_prompt(run, tmp_path):
    code, out, _ = run(write(tmp_path / "r.jsonl", REWARDS[:1]))
    assert code == 0
    assert "[" not in out
    assert "one prompt has no interval" in out
    got = json.loads(run(tmp_path / "r.jsonl", "--json")[1])["curves"][0]
    assert got["low"] == [None] * len(got["ks"])


def test_one_rollout_of_each_prompt(run, tmp_path):
    path = write(tmp_path / "r.jsonl", REWARDS[:, :1])
    assert run(path)[0] == 0
    code, out, err = run(path, "--up-to", 8)
    assert (code, out) == (2, "")
    assert "without --up-to the curve ends at k = 1" in err


def test_all_equal(run, tmp_path):
    code, out, _ = run(write(tmp_path / "r.jsonl", np.full((9, 4), 2.0)))
    assert code == 0
    assert "all prompts have the same value at k = 1, k = 2, k = 3, k = 4, which" in out


def test_a_short_group_is_named(run, a):
    write(a, REWARDS[:1, :3], first=77)
    code, out, err = run(a)
    assert code == 0
    assert "prompt '77' has only 3 rewards, half of the prompts have 32 or more" in err
    assert "31 prompts x 3 to 32" in out


def test_different_prompts(run, a, tmp_path):
    code, out, err = run(a, write(tmp_path / "c.jsonl", OTHER, first=100))
    assert (code, out) == (2, "")
    assert "no prompt in common (such as '0' and '100')" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--ks", "1,64"],
            "k = 64 exceeds the 32 rewards of prompt '0'; draw more, or add --up-to",
        ),
        (["--ks", "1,64", "--up-to", "48"], "--ks 1,64 goes beyond --up-to 48: raise that to 64"),
        (["--ks", "0"], "--ks 0: give whole numbers"),
        (["--ks", "1,two"], "--ks 1,two: give whole numbers"),
        (["--up-to", "0"], "--up-to 0 must be a whole number from 1 to 1e9"),
        (["--up-to", "1e10"], "--up-to 10000000000 must be"),
        (["--up-to", "2.5"], "--up-to 2.5 must be"),
        (["--up-to", "nan"], "--up-to nan must be"),
        (["--seed", "-1"], "--seed -1 must be 0 or more"),
        (["--confidence-level", "95"], "--confidence-level 95 must be between 0 and 1"),
        (["--png", "."], "--png . must be the name of a .png file"),
        (["--png", "curve.jpg"], "--png curve.jpg must be the name of a .png file"),
        (["--png", "nowhere/curve.png"], "there is no folder nowhere"),
        (["--html", "report"], "--html report must be the name of a .html file"),
        (["--model", "big"], "'big'"),
    ],
)
def test_bad_arguments(run, a, arguments, message):
    code, out, err = run(a, *arguments)
    assert (code, out) == (2, "")
    assert message in err


def test_bad_files(run, a, tmp_path):
    for path, message in [(tmp_path, "folder"), (tmp_path / "none.jsonl", "not there")]:
        code, out, err = run(path)
        assert (code, out) == (2, "")
        assert message in err
    code, _, err = run(a, a)
    assert code == 2
    assert "named twice" in err
    code, _, err = run(write(tmp_path / "nan.jsonl", np.full((3, 2), np.nan)))
    assert code == 2
    assert "no prompt has a single reward" in err


def test_help_has_two_examples(run, capsys):
    with pytest.raises(SystemExit):
        run("--help")
    assert capsys.readouterr().out.count("  bontea curve ") >= 2
