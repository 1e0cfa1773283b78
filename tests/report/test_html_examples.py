"""Which completions stand for the best of k, and of which prompts."""

import itertools
import json
import math

import numpy as np
import pytest

from bontea.report.html_examples import as_dialogue, choose_prompts, examples, median_rank
from bontea.rollouts.groups import as_rollouts


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


def test_chats_are_shown_as_turns():
    chat = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]
    assert as_dialogue(json.dumps(chat)) == "user: hi\n\nassistant: ho"
    for other in ('[{"a": 1}]', '[{"broken', "[1]", '[{"a":' * 100_000):
        assert as_dialogue(other) == other
