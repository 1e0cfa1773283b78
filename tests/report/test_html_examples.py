"""Which completions stand for the best of k, and of which prompts."""

import base64
import html
import itertools
import json
import math

import numpy as np
import pytest
from tests.report.pages import LATEX, RIGHT_TO_LEFT, write_chats

from bontea.report import html_parts as parts
from bontea.report.html_examples import choose_prompts, examples, examples_section, median_rank
from bontea.rollouts import read_rollouts
from bontea.rollouts.groups import as_rollouts

SIZE = "[image, 512 x 384]"


@pytest.mark.parametrize("m", [1, 2, 5, 8])
def test_median_rank_against_all_subsets(m):
    for k in range(1, m + 1):
        ranks = sorted(min(draw) for draw in itertools.combinations(range(1, m + 1), k))
        assert median_rank(m, k) == ranks[(len(ranks) - 1) // 2]  # the lower median


def test_median_rank_of_large_groups():
    for m, k in ((4096, 1), (4096, 64), (100_000, 1000)):
        j = median_rank(m, k)
        lost = [
            sum(math.log1p(-k / (m - i)) for i in range(rank)) for rank in (j - 1, j)
        ]  # log of C(m - rank, k) / C(m, k)
        assert lost[0] > math.log(0.5) - 1e-9
        assert lost[1] <= math.log(0.5) + 1e-9


def test_examples_skip_what_was_not_scored():
    rollouts = as_rollouts([[None, 3.0, 1.0, 2.0, None], [None, None, None, None, None]])
    found = examples(rollouts, 0, ks=(1, 2, 8))
    assert [(e.k, e.rank, e.m, e.reward, e.rollout) for e in found] == [
        (1, 2, 3, 2.0, 3),
        (2, 1, 3, 3.0, 1),
        (3, 1, 3, 3.0, 1),
    ]
    assert examples(rollouts, 1) == []


def test_prompts_come_from_every_quarter_and_from_all_models():
    rewards = np.arange(12.0)[::-1, None] + np.zeros((12, 4))
    first = as_rollouts(rewards, prompts=[f"p{i:02}" for i in range(12)])
    assert choose_prompts({"a": first}) == ["p10", "p07", "p04", "p01"]
    second = first.select([1, 3])
    assert choose_prompts({"a": first, "b": second}) == ["p03", "p01"]
    other = as_rollouts(rewards, prompts=[f"q{i}" for i in range(12)])
    assert choose_prompts({"a": first, "b": other}) == ["p10", "p07", "p04", "p01"]


# --- the page -----------------------------------------------------------------------------------


def section(path):
    """The HTML of the section of examples, of a file of rollouts."""
    return examples_section({path.stem: read_rollouts(path)}, parts.Numbers([0.0, 9.0]))


def test_chats_are_shown_as_turns(tmp_path):
    image = base64.b64encode(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\2\0\0\0\1\x80" + bytes(3000))
    path = write_chats(tmp_path / "chats.jsonl", image=image.decode(), long="word " * 40_000)
    page = section(path)
    shown = html.unescape(page)
    assert 'dir="auto">user:\n[image, 512 x 384]\nQuestion 0</div>' in page
    assert f'assistant: search(query="weather", days=3)\n\ntool (search):\nrain\n{SIZE}' in shown
    assert f"assistant: {LATEX}</div>" in shown
    assert RIGHT_TO_LEFT in shown
    for wrong in ("base64", image.decode()[:40], "{'", '{"', "tool_calls", "None", "null"):
        assert wrong not in shown, wrong


def test_a_chat_in_parquet_is_the_same(tmp_path):
    pl = pytest.importorskip("polars")
    image = base64.b64encode(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\2\0\0\0\1\x80" + bytes(300))
    lines = write_chats(tmp_path / "chats.jsonl", image=image.decode(), long="x" * 10)
    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    for row in rows:  # one type a column
        if not isinstance(row["completion"], list):
            row["completion"] = [{"role": "assistant", "content": row["completion"]}]
        for turn in row["completion"]:
            if isinstance(turn["content"], list):
                turn["content"] = turn["content"][0]["text"]
    path = tmp_path / "chats.parquet"
    pl.DataFrame(rows).write_parquet(path)
    shown = html.unescape(section(path))
    assert "user:\n[image, 512 x 384]\nQuestion 0</div>" in shown
    assert 'assistant: search(query="weather", days=3)\n\ntool (search): rain' in shown
    for wrong in ("base64", "{'", '{"', "None", "null"):
        assert wrong not in shown, wrong


def test_the_page_holds_a_long_completion_and_is_bounded(tmp_path):
    one, row = tmp_path / "one.jsonl", {"prompt_id": 0, "reward": 1.0}
    text = "start " + "x" * 99_988 + " <end>"
    one.write_text(json.dumps(row | {"completion": text}))
    page = section(one)
    assert "Show all 100,000 characters" in page
    assert html.escape(text) in page.replace("<wbr>", "")
    assert 190 < page.count("<wbr>") < 200  # a browser takes minutes for a word of 100,000 letters
    many = tmp_path / "many.jsonl"
    long = {"prompt": "p" * 1000, "completion": "&" * 400_000}
    many.write_text(
        "".join(json.dumps(row | long | {"prompt_id": i, "reward": i}) + "\n" for i in range(4))
    )
    sources = dict.fromkeys((f"model {i}" for i in range(12)), read_rollouts(many))
    assert len(html.unescape(examples_section(sources, parts.Numbers([0.0, 3.0])))) < 4.5e6
    page = section(many)
    assert "Show the first and the last 100,000 of 400,000 characters" in page
    assert "[200,000 characters are left out here]" in page
