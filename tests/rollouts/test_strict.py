"""JSON that could be read in two ways is refused."""

import math

import pytest

from bontea._errors import BonteaError
from bontea._json import strict_loads


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
