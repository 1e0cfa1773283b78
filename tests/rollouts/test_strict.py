"""JSON that could be read in two ways is refused."""

import math

import pytest

from bontea._errors import BonteaError
from bontea._json import is_cut_off, strict_loads
from bontea.rollouts import read_rollouts, rescore


def test_values_are_what_the_text_says():
    text = '{"a": [1, 1.0, 12345678901234567890123, "2024-01-01", null, true], "b": {"a": {}}}'
    (*numbers, date, nothing, yes) = strict_loads(text, "here")["a"]
    assert list(map(repr, numbers)) == ["1", "1.0", "12345678901234567890123"]
    assert (date, nothing, yes) == ("2024-01-01", None, True)
    assert strict_loads('"Grüße"'.encode(), "here") == "Grüße"
    assert math.isnan(strict_loads("NaN", "here"))
    assert strict_loads("-Infinity", "here") == -math.inf


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1, "a": 1}', "p.jsonl, line 3: the key 'a' is there twice in one object"),
        ('[{"x": {"deep": 1, "b": 2, "deep": 3}}]', "key 'deep' is there twice"),
        (r'{"a": 1, "\u0061": 2}', "key 'a' is there twice"),
        ('{"a": 1', "line 3: not JSON (Expecting ',' delimiter at character 8)"),
        ('{\n"a": 1', "not JSON (Expecting ',' delimiter at line 2, character 7)"),
        ("[" * 100_000, "nested too deeply"),
        ("9" * 5000, "Exceeds the limit (4300 digits)"),
        (b'"\xff"', "line 3: byte b'\\xff' at position 2 is not UTF-8"),
    ],
)
def test_what_is_refused(text, said):
    with pytest.raises(BonteaError) as error:
        strict_loads(text, "p.jsonl, line 3")
    assert said in str(error.value)
    assert str(error.value).startswith("p.jsonl, line 3")


@pytest.mark.parametrize("cut", range(1, 60))
def test_every_beginning_of_a_line_is_cut_off(cut):
    line = '{"prompt": "a \\" } é", "reward": -1.5e3, "x": [null, {}]}'.encode()
    assert is_cut_off(line[:cut]) is (cut < len(line))


def test_what_a_line_says_wrong_is_no_cut():
    for line in (b'{"a": 1, "a": 2}', b"[1, 2]", b"hello", b'{"a": 1}}', b'{"a": "\xff"}'):
        assert not is_cut_off(line)
    assert is_cut_off(bytes(100))  # what some file systems leave after a crash


@pytest.mark.parametrize(
    "row",
    [
        '{"prompt": "a", "completion": "b", "reward": 1%s}',  # our own
        '{"input": "a", "output": "b", "step": 1, "score": 1%s}',  # verl
    ],
)
def test_a_wrong_last_line_is_refused_though_its_line_end_is_missing(row, tmp_path):
    path = tmp_path / "rollouts.jsonl"
    good, twice = row % "", row % ', "reward": 0, "score": 0, "score": 0, "reward": 0'
    path.write_text(f"{good}\n{good[:20]}")
    assert len(read_rollouts(path).rewards) == 1
    path.write_text(f"{good}\n{twice}")
    with pytest.raises(BonteaError, match=r"line 2: the key '(score|reward)' is there twice"):
        read_rollouts(path)


def test_rescoring_refuses_a_wrong_last_line(tmp_path):
    path = tmp_path / "rollouts.jsonl"
    text = '{"prompt": "a", "completion": "b"}\n{"prompt": "a", "completion": "c", "prompt": "d"}'
    path.write_text(text)
    with pytest.raises(BonteaError, match="line 2: the key 'prompt' is there twice"):
        rescore(path, "bontea.demo.reward:none")
    assert path.read_text() == text
