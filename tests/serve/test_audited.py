"""What a log says about rule and fixed N: by hand, and what is no log."""

import json

import numpy as np
import pytest

from bontea._errors import BonteaError
from bontea.cli import main
from bontea.serve import audit


def request(name, rewards, stops, n=8, audited=True, why="price"):
    """The rows of a request whose rule stopped after `stops` responses."""
    for j, reward in enumerate(rewards):
        row = {"prompt_id": name, "rollout": j, "reward": reward, "prompt": "p", "completion": "c"}
        row |= {"audit": n} if audited else {"by_rule": True} if j >= 2 else {}
        row |= {"stopped": why} if j == stops - 1 or j == len(rewards) - 1 else {}
        yield row


def write(path, *requests):
    path.write_text("".join(json.dumps(row) + "\n" for rows in requests for row in rows))
    return path


def test_by_hand(tmp_path):
    log = write(
        tmp_path / "log.jsonl",
        request("a", [1, 2, 0, 0, 5, 0, 0, 0], 4),  # the rule missed the 5
        request("b", [3, 0, 0, 0, 0, 0, 0, 0], 2),
        request("c", [0] * 8 + [4, 0], 10),  # the rule went further than the fixed N
        request("d", [None, 1, None, 0, 0, 0, 0, 0], 4),
        request("e", [None] * 8, 8),  # nothing to compare
        request("f", [1, 2, 3], 3, audited=False),
        request("g", [1, 2], 2, audited=True),  # ended by a deadline before N
    )
    found = audit(log, rng=0)
    assert (found.requests, found.audited, found.reference_n) == (7, 4, 8)
    assert found.rule_responses == (4 + 2 + 10 + 4) / 4
    assert found.saved == pytest.approx(1 - 5 / 8)
    assert found.rule_reward == (2 + 3 + 4 + 1) / 4
    assert found.fixed_reward == (5 + 3 + 0 + 1) / 4
    assert found.difference == pytest.approx(0.25)
    assert "too few for intervals" in found.message
    assert found.stopped == {"price": 7}
    assert json.dumps(found.to_dict(), allow_nan=False)


def test_by_another_score(tmp_path):
    rows = [*request("a", [1, 2, 0, 5], 2, n=4), *request("b", [3, 3, 0, 4], 2, n=4)]
    rows += [*request("c", [1, 2, 0, 5], 2, n=4)]
    for row, judge in zip(rows, [0, 7, 0, 1, 5, 9, 9, 6, 0, None, 0, 0], strict=True):
        row["judge"] = judge
    log = write(tmp_path / "log.jsonl", rows)
    found = audit(log, measure="judge", rng=0)
    # Chosen by reward: a 7 and then 1, b 5 (the first of equal ones) and then 6, c none.
    assert (found.audited, found.left_out, found.measure) == (2, 1, "judge")
    assert (found.rule_reward, found.fixed_reward) == (6.0, 3.5)
    assert "judge" in str(found)
    with pytest.raises(BonteaError, match="no row has a score 'jury'"):
        audit(log, measure="jury")


def many(rng, lose):
    for i in range(200):
        rewards = rng.normal(size=16)
        yield request(f"r{i}", rewards.tolist(), 2 if lose else 12, n=16)


def test_what_the_intervals_say(tmp_path):
    rng = np.random.default_rng(0)
    lost = audit(write(tmp_path / "lost.jsonl", *many(rng, True)), rng=0)
    assert lost.difference_high < 0
    assert "quality fell" in lost.message
    assert lost.saved_low == lost.saved_high or lost.saved == pytest.approx(14 / 16)
    even = audit(write(tmp_path / "even.jsonl", *many(rng, False)), rng=0)
    assert -0.25 < even.difference < 0  # the best of the first 12 of 16
    truth = -0.14  # E max of 12 - E max of 16, normal: 1.629 - 1.766
    assert even.difference_low < truth < even.difference_high


def test_pieces_of_a_log_are_one(tmp_path, capsys):
    rows = [*request("a", [1, 2, 0, 0], 2, n=4), *request("b", [0, 2, 0, 3], 2, n=4)]
    one, two = write(tmp_path / "l.0001.jsonl", rows[:5]), write(tmp_path / "l.jsonl", rows[5:])
    assert main(["audit", str(one), str(two), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["difference"] == -0.5
    assert main(["audit", str(one), str(two)]) == 0
    assert "2 of them audited" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "none of 0 requests is audited"),
        ([{"prompt_id": "a", "rollout": 0, "reward": 1.0}], "none of 1 requests is audited"),
        ([{"prompt_id": 3, "reward": 1.0}], "no row of a log"),
        ([{"reward": 1.0}], "no row of a log"),
        ([{"prompt_id": "a", "reward": "good", "audit": 1}], "'good' is no number"),
        (
            [
                {"prompt_id": "a", "reward": 1, "audit": 1},
                {"prompt_id": "b", "reward": 1, "audit": 2},
                {"prompt_id": "b", "reward": 1, "audit": 2},
            ],
            "not the same in all requests (1, 2)",
        ),
    ],
)
def test_what_is_no_log(tmp_path, rows, words):
    with pytest.raises(BonteaError) as caught:
        audit(write(tmp_path / "log.jsonl", rows))
    assert words in str(caught.value)
