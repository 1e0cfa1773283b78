"""The section "what adaptive N would save": what it says in each case, its figure and its table."""

import re
from dataclasses import replace

import numpy as np
import pytest

from bontea.__main__ import main
from bontea.deploy import quick_savings
from bontea.report.html_savings import judged, lead, savings_section
from bontea.rollouts import as_rollouts


def draw(prompts=40, m=64, spread=0.6):
    rng = np.random.default_rng(0)
    scale = np.exp(spread * rng.normal(size=(prompts, 1)))
    return rng.normal(size=(prompts, 1)) + scale * rng.normal(size=(prompts, m))


def ceilings():
    """Every prompt ends at a point of its own."""
    rng = np.random.default_rng(3)
    scale = np.exp(0.25 * rng.normal(size=(100, 1)))
    return rng.normal(size=(100, 1)) + scale * rng.random((100, 64))


@pytest.fixture(scope="module")
def found():
    return quick_savings({"tea": as_rollouts(draw())})["tea"]


def section(found, n=16.0, solved=False):
    charts = []
    return savings_section({"tea": found}, n, {"tea": solved}, charts), charts


def plain(html):
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def test_the_answer_the_table_and_the_figure_are_those_of_the_simulation(found):
    html, (chart,) = section(found)
    last = found.simulation.outcomes[-1]
    assert last.saving_low > 0
    share = f"{100 * last.saving:.1f} % [{100 * last.saving_low:.1f}, {100 * last.saving_high:.1f}]"
    assert (
        f"For the mean reward of fixed N = 16 the rule draws {last.responses:.3g} responses" in html
    )
    assert f": {share} fewer." in html
    fixed, rule = chart["traces"][1:]
    assert fixed["x"] == [1, 2, 4, 8, 16, 32]
    assert fixed["y"] == [f.reward for f in found.simulation.fixed[:6]]
    assert rule["x"] == [o.responses for o in found.simulation.outcomes]
    assert rule["y"] == [o.reward for o in found.simulation.outcomes]
    for i, o in enumerate(found.simulation.outcomes):
        ends = (
            rule["x"][i] - rule["error_x"]["arrayminus"][i],
            rule["x"][i] + rule["error_x"]["array"][i],
        )
        assert ends == pytest.approx(
            [o.fixed_n * (1 - o.saving_high), o.fixed_n * (1 - o.saving_low)]
        )
        assert f"<code>{float(f'{o.price:.3g}'):g}</code>" in html
        assert f"{100 * o.saving:.1f} %" in html
    assert "docs/deploy.md" in html
    assert "Used: 40 prompts with 64 rollouts each, 40 random orders of each." in html
    assert "beyond this trial" not in html
    assert "N = 128, the number deployed, is beyond this trial" in section(found, 128.0)[0]


def test_a_part_is_said():
    found = quick_savings({"tea": as_rollouts((draw(300, 128) > 1) * 1.0)})["tea"]
    html, (chart,) = section(found, solved=True)
    assert "a part was used, drawn with a fixed seed: 100 prompts with 128 rollouts each" in html
    assert "300 prompts with at least 128 rollouts; <code>bontea simulate FILE</code>" in html
    assert chart["layout"]["yaxis"]["title"]["text"] == "share solved"


@pytest.mark.parametrize(
    ("saving", "kind", "said"),
    [
        ((0.2, 0.1, 0.3), "saves", ": 20.0 % [10.0, 30.0] fewer."),
        ((0.2, -0.1, 0.3), "uncertain", "fewer. The interval includes zero, so it is not certain"),
        ((-0.1, -0.3, 0.1), "uncertain", "not certain that anything is saved"),
        ((0.0, -0.001, 0.001), "nothing", ": it saves nothing."),
        ((-0.2, -0.3, -0.1), "costs", "It saves nothing: that is more than the fixed N (-20.0 %"),
    ],
)
def test_every_kind_of_saving_in_words(found, saving, kind, said):
    s = found.simulation
    *others, last = s.outcomes
    last = replace(last, **dict(zip(("saving", "saving_low", "saving_high"), saving, strict=True)))
    assert judged(last) == kind
    assert said in lead(replace(s, outcomes=[*others, last]))
    rest = {
        "saves": "It saves responses at N = 4",
        "uncertain": "The interval includes zero at N = 4",
    }
    rest |= {"nothing": "It saves nothing at N = 4", "costs": "It needs more responses at N = 4"}
    assert rest[kind] in lead(replace(s, outcomes=[replace(last, asked_n=4), last]))


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        ("holds", "holds"),
        ("doubtful", "expect less on other prompts"),
        ("fails", "This rule saves nothing on these rewards"),
        ("unknown", "take the numbers as a guess"),
    ],
)
def test_every_verdict_in_words(found, verdict, said):
    changed = replace(found, simulation=replace(found.simulation, verdict=verdict))
    html, _ = section(changed)
    assert said in plain(html)
    assert f"</span> {verdict}</span>" in html


def test_rewards_whose_model_fails():
    found = quick_savings({"tea": as_rollouts(ceilings())})["tea"]
    assert found.simulation.verdict == "fails"
    assert "This rule saves nothing on these rewards" in section(found)[0]


def test_rewards_of_which_one_response_is_enough():
    found = quick_savings({"tea": as_rollouts(np.ones((10, 64)))})["tea"]
    text = plain(section(found, solved=True)[0])
    assert "fixed N = 16, which N = 1 has too, the rule draws 1 response per prompt" in text
    assert "on average: it saves nothing." in text
    assert "16 as N = 1 1.00 1 0.0 % [0.0, 0.0] any" in text
    assert "nan" not in text


def test_too_little_data_is_one_sentence_and_no_chart():
    found = quick_savings({"tea": as_rollouts(draw(5, 4))})["tea"]
    html, charts = section(found)
    assert "Not known: there are 4 rollouts of a prompt, and at least 16 are needed." in html
    assert charts == []
    assert savings_section({}, 16, {}, charts) == ""


def test_the_page_of_the_command_has_the_section(tmp_path):
    files = []
    for m in (16, 8):
        files.append(tmp_path / f"of{m}.csv")
        rows = [f"p{p},{r}" for p, group in enumerate(draw(8, m)) for r in group]
        files[-1].write_text("\n".join(["prompt_id,reward", *rows]), encoding="utf-8")
    page = tmp_path / "report.html"
    assert main(["curve", *map(str, files), "--html", str(page)]) == 0
    html = page.read_text(encoding="utf-8")
    section = html[html.index('<section id="savings"') : html.index('<section id="completions"')]
    _, enough, few = section.split("<h3>")
    assert "of16" in enough
    assert enough.count('class="chart"') == enough.count("<table") == 1
    assert "of8" in few
    assert "Not known: there are 8 rollouts of a prompt" in few
    assert "<table" not in few
