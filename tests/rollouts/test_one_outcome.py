"""Every reader of a rollout file gives a line one outcome: a value, or an error that names it.

The second opinion is `twin`, which reads a line by Python's own parser and these rules in a few
lines; it shares no code with the package.
"""

import gzip
import json
import math

import pytest

pl = pytest.importorskip("polars")

from bontea.rollouts import _jsonl, read_completions, read_rollouts  # noqa: E402
from bontea.rollouts.table import RolloutFile  # noqa: E402

FIELDS = {"prompt_id", "prompt", "reward", "completion", "rollout", "stratum", "model"}
FIELDS |= {"finish_reason"}
GOOD = '{"prompt_id": 7, "rollout": 0, "reward": 0.5, "completion": "good"}'


def line(reward="1", **more):
    """A row in which each value is text as it stands in the file."""
    values = {"prompt_id": "1", "rollout": "0", "reward": reward, "completion": '"a"'} | more
    return "{" + ", ".join(f'"{key}": {value}' for key, value in values.items()) + "}"


# fmt: off
REWARDS = [
    "NaN", "nan", "Infinity", "-Infinity", "-0", "-0.0", "1e400", "-1e400", "01", "+1", "1.",
    ".5", "1e5", "1E5", "1e+05", "true", "false", "null", '"1"', '"true"', '""', "[1]", "{}",
    "[]", "0x10", "1_000", "1e-400", "5e-324", "123456789012345678901234567890",
    "9007199254740993", "18446744073709551616", "None", "True",
]
IDS = [
    "3", "3.0", "3e0", "30e-1", '"3"', '"\\u0033"', "-0", "0", "1e22", "9007199254740993",
    "9007199254740993.0", "-5", "true", "null", "18446744073709551616",
    "123456789012345678901234567891", "[1]", "[1.0]", "0.1", "1e-7", "1e400", '"3.0"', '""',
    '{"a":1}',
]
ROLLOUTS = [
    "3.0", "3.5", '"3"', "true", "1e2", "9223372036854775807", "9223372036854775808", "-1",
    "-0", "NaN", "null",
]
# fmt: on
LINES = [
    *(line(reward) for reward in REWARDS),
    *(line(prompt_id=value) for value in IDS),
    *(line(rollout=value) for value in ROLLOUTS),
    line("1" + "9" * 400),
    line("1" + "9" * 5000),
    line()[:-1] + ', "reward": 2}',
    line()[:-1] + ', "reward": null}',
    line("null")[:-1] + ', "reward": 2}',
    line()[:-1] + ', "reward": 1}',
    line()[:-1] + ', "rew\\u0061rd": 2}',
    line()[:-1] + ', "prompt\\u005Fid": 2}',
    line().replace('"reward"', '"rew\\u0061rd"'),
    line().replace('"reward"', '"\\u0072\\u0065ward"'),
    line()[:-1] + ', "prompt_id": 2}',
    line()[:-1] + ', "completion": "b"}',
    line()[:-1] + ', "rollout": null}',
    line()[:-1] + ', "model": null, "model": null}',
    line(prompt='[{"role": "user", "content": "a", "content": "b"}]'),
    line(prompt='[{"role": "user", "content": "a"}]'),
    line()[:-1] + ', "other": 1, "other": 2}',
    line()[:-1] + ', "other": {"reward": 1, "reward": 2}}',
    line()[:-1] + ', "other": {"reward": 1, "prompt_id": [1, {"rollout": 3}]}}',
    line(completion='"reward"'),
    line(completion='"say \\"reward\\": 3, \\"reward\\": 4"'),
    line(completion='"\\u0061 \\u007A"'),
    line(completion='"a\tb"'),
    line(completion='"a\\u0000b"'),
    line(completion='"a\x00b"'),
    line(completion='"\\ud800"'),
    line(completion='"\\ud83d\\ude00"'),
    line(completion='"é\u2028\x7f"'),
    line(completion='"\\x"'),
    line(completion="'a'"),
    line(completion="null"),
    line(completion='["a", "b"]'),
    line(completion="true"),
    line() + ",",
    line()[:-1] + ",}",
    line() + "}",
    line() + " " + line("2"),
    line() + line("2"),
    "[" + line() + "]",
    "\ufeff" + line(),
    line()[:-1] + "\ufeff}",
    " \t" + line() + " \t\r",
    line().replace(": ", " : "),
    line()[:-5],
    *('{"reward": 1}', '{"prompt_id": 1}', "{}", "5", '"x"', "null", "# c", "// c", "\x00"),
    *("", "   ", "\t", "\r"),
    line()[:-1] + ', "deep": ' + "[" * 3000 + "]" * 3000 + "}",
    line(stratum="1"),
    line(finish_reason='"length"'),
]


class Refused(Exception):
    pass


class Pairs(list):
    """An object as its pairs."""


def value_of(node):
    if isinstance(node, Pairs):
        if len({key for key, _ in node}) < len(node):
            raise Refused
        return {key: value_of(item) for key, item in node}
    return [value_of(item) for item in node] if isinstance(node, list) else node


def name_of(key):
    if isinstance(key, bool):
        return "true" if key else "false"
    if isinstance(key, float):
        if math.isinf(key):
            raise Refused
        digits = f"{key:.400f}".rstrip("0").rstrip(".") if key.is_integer() else None
        return digits or next(t for n in range(400) if float(t := f"{key:.{n}f}") == key)
    if isinstance(key, (list, dict)):
        return json.dumps(key, sort_keys=True).replace("1.0", "1")
    return str(key)


def twin(text):
    """(name of the prompt, reward, completion), None for a blank line; Refused."""
    if not text.strip():
        return None
    try:
        pairs = json.loads(text, object_pairs_hook=Pairs)
    except (ValueError, RecursionError):
        raise Refused from None
    if not isinstance(pairs, Pairs):
        raise Refused
    ours = [pair for pair in pairs if pair[0] in FIELDS]
    row = value_of(Pairs(ours))
    row = {key: None if value != value else value for key, value in row.items()}
    key = row.get("prompt_id") if row.get("prompt_id") is not None else row.get("prompt")
    reward, rollout = row.get("reward", "missing"), row.get("rollout", 0)
    if key is None or not (reward is None or isinstance(reward, (bool, int, float))):
        raise Refused
    if rollout is not None and (
        not isinstance(rollout, (int, float))
        or isinstance(rollout, bool)
        or rollout % 1
        or abs(rollout) >= 2**63
    ):
        raise Refused
    try:
        reward = math.nan if reward is None else float(reward)
    except OverflowError:
        raise Refused from None
    if math.isinf(reward):
        raise Refused
    return name_of(key), reward, row.get("completion")


def outcome(read, *args):
    """What a reader makes of the line as `twin` says it; errors must name the line."""
    try:
        return read(*args)
    except Refused:
        return "refused"
    except ValueError as error:
        said = str(error)
    assert "line 2:" in said or "not a text file" in said, said
    assert len(said.splitlines()) == 1
    return "refused"


def by_rollouts(path):
    """The row of the odd line (number 2), or None where there is none."""
    found = read_rollouts(path)
    names = list(found.prompts)
    assert found.group(names.index("7"))[0] == 0.5
    rows = found.rows.tolist()
    odd = [i for i, row in enumerate(rows) if row == 1 and len(rows) > 2]
    if not odd:
        return None
    owner = next(p for p in range(len(found)) if found.offsets[p + 1] > odd[0])
    completion = read_completions(path, [1])[0]
    return names[owner], float(found.rewards[odd[0]]), completion


def same(a, b):
    if not (isinstance(a, tuple) and isinstance(b, tuple)):
        return a == b
    (name, reward, completion), (other_name, other_reward, other) = a, b
    if isinstance(other, str):
        other = other.encode("utf-8", "replace").decode()
        completion = completion.encode("utf-8", "replace").decode()
    elif other is not None:
        other = json.dumps(other)
    return (name, completion) == (other_name, other) and (
        reward == other_reward or (math.isnan(reward) and math.isnan(other_reward))
    )


@pytest.mark.parametrize("text", LINES, ids=lambda text: ascii(text)[:60])
def test_a_line_has_one_outcome(tmp_path, text):
    expected = outcome(twin, text)
    last = '{"prompt_id": 8, "rollout": 0, "reward": 0.25}'
    slow = last[:-1] + ', "other": 1e999}'  # Polars refuses it: the piece is read line by line
    for name, end in (("fast", last), ("slow", slow)):
        data = "\n".join([GOOD, text, end, ""]).encode("utf-8", "surrogatepass")
        plain, packed = tmp_path / f"{name}.jsonl", tmp_path / f"{name}.jsonl.gz"
        plain.write_bytes(data)
        packed.write_bytes(gzip.compress(data))
        for path in (plain, packed):
            assert same(outcome(by_rollouts, path), expected), (name, path)


@pytest.mark.parametrize("text", LINES, ids=lambda text: ascii(text)[:60])
def test_a_resumed_run_reads_it_so_too(tmp_path, text):
    expected = outcome(twin, text)
    path = tmp_path / "r.jsonl"
    path.write_bytes(f"{GOOD}\n{text}\n".encode("utf-8", "surrogatepass"))
    said = ""
    try:
        found = RolloutFile(path).rewards
    except ValueError as error:
        said = str(error)
    if said:
        assert "line 2:" in said
        # It numbers prompts and rollouts, so it refuses what is named otherwise.
        assert expected == "refused" or "was written here" in said
        return
    rest = {key: value for key, value in found.items() if key != (7, 0)}
    if expected is None:
        assert not rest
        return
    (((prompt, _), reward),) = rest.items()
    assert str(prompt) == expected[0]
    assert reward == expected[1] or (math.isnan(reward) and math.isnan(expected[1]))


def test_a_key_twice_is_named(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(f'{GOOD}\n\n{line()[:-1]}, "reward": 2}}\n{line()}\n')
    with pytest.raises(ValueError, match=r"a\.jsonl, line 3: the key 'reward' is there twice"):
        read_rollouts(path)


def test_ordinary_pieces_stay_fast(tmp_path, monkeypatch):
    """No line is parsed alone because of what rows usually hold: nulls, missing fields, escapes."""
    rows = [
        {"prompt_id": i % 5, "reward": i / 7, "completion": 'é "reward": <b>', "stratum": None}
        | ({"model": "m", "finish_reason": "stop"} if i % 2 else {"model": "m"})
        for i in range(100)
    ]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    calls = []
    whole = _jsonl.checked
    monkeypatch.setattr(_jsonl, "checked", lambda *args: calls.append(args) or whole(*args))
    assert len(read_rollouts(path)) == 5
    assert not calls
