"""2,000 damaged and odd files and answers: a result that a second reading confirms, or one line.

The second reading is written here from the description of the format alone, slowly, and shares no
code with the library: where the library gives numbers, it must give the same ones.
"""

import bz2
import gzip
import json
import math
from decimal import Decimal

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from tests.rollouts.openai_server import OpenAIServer, Sent, plain

from bontea._errors import BonteaError
from bontea.rollouts import read_rollouts
from bontea.rollouts.endpoint import Sampling, sample_endpoint
from bontea.rollouts.prompts import load_prompts
from bontea.rollouts.service import Service
from bontea.rollouts.table import RolloutFile

pytestmark = pytest.mark.slow
ODD = [
    None,
    True,
    False,
    0,
    -0.0,
    1,
    3,
    3.0,
    "3",
    "",
    " ",
    "NaN",
    "null",
    "007",
    1e300,
    -1e-300,
    10**17,
    2**53,
    2**53 + 1,
    2**63,
    10**30,
    [],
    {},
    [1],
    {"a": None},
    "Grüße 猫",
    "a\u2028b",
    "\u202e",
    "x" * 500,
    [{"role": "user", "content": "hi"}],
    [{"role": "user", "content": None}],
    math.nan,
    math.inf,
]
FIELDS = ["prompt_id", "prompt", "reward", "completion", "rollout", "stratum", "model"]
TEXTS = [
    (b"}", b""),
    (b"{", b"{{"),
    (b",", b",,"),
    (b'"reward"', b'"rew\\u0061rd"'),
    (b"\n", b"\r\n"),
    (b"\n", b"\n\n"),
    (b"\n", b"\r"),
    (b'"', b"'"),
    (b": ", b":"),
    (b": ", b" :\t"),
    (b"true", b"True"),
    (b"null", b"None"),
    (b"}", b', "reward": 5}'),
    (b"}", b', "prompt": "again"}'),
    (b"}", b",}"),
    (b"}", b', "extra": {"reward": 7, "prompt": 1}}'),
    (b"0", b"00"),
    (b"1", b"1e400"),
    (b"1", b"-"),
    (b"}\n", b"}"),
    (b"{", b"\xef\xbb\xbf{"),
    (b"a", b"\\ud800"),
    (b"a", b"\x00"),
    (b"e", b"\xe9"),
    (b"{", b"[{"),
    (b"3", b"3.0"),
    (b"3", b"0x3"),
    (b'"', b'\\"'),
    (b" ", b"\x0b"),
    (b"}", b"} // x"),
]


def sane(reward):
    return st.one_of(st.floats(-5, 5).map(lambda x: round(x, 3)), st.sampled_from(reward))


@st.composite
def rows(draw):
    fields = ["reward", *draw(st.sets(st.sampled_from(FIELDS), min_size=2))]
    table = []
    for p in range(draw(st.integers(1, 4))):
        for j in range(draw(st.integers(1, 4))):
            row = {
                "prompt_id": p,
                "prompt": f"prompt {p}",
                "reward": draw(sane([0, 1, None, True])),
                "completion": "a" * j,
                "rollout": j,
                "stratum": "easy",
                "model": "m",
            }
            table.append({name: row[name] for name in FIELDS if name in fields})
    for _ in range(draw(st.integers(0, 2))):
        row = draw(st.sampled_from(table))
        row[draw(st.sampled_from(FIELDS))] = draw(st.sampled_from(ODD))
    return table


@st.composite
def damaged(draw, data):
    """The same bytes with some of them changed, as programs, disks and people change them."""
    for old, new in draw(st.lists(st.sampled_from(TEXTS), max_size=2)):
        places = data.count(old)
        if places:
            parts = data.split(old)
            at = draw(st.integers(1, places))
            everywhere = draw(st.booleans())
            data = (
                new.join(parts)
                if everywhere
                else (old.join(parts[:at]) + new + old.join(parts[at:]))
            )
    if data and draw(st.integers(0, 3)) == 0:
        at = draw(st.integers(0, len(data) - 1))
        data = data[:at] + draw(st.binary(max_size=2)) + data[at + draw(st.integers(0, 3)) :]
    if draw(st.integers(0, 9)) == 0:
        data = data[: draw(st.integers(0, len(data)))]
    return data


def packed(data, kind):
    if kind == "utf-16":
        try:
            return data.decode().encode("utf-16")
        except UnicodeError:
            return data
    return {"gzip": gzip.compress, "bz2": bz2.compress}.get(kind, bytes)(data)


KINDS = st.sampled_from(["plain"] * 6 + ["gzip", "bz2", "utf-16"])


def one_line(error):
    assert isinstance(error, (BonteaError, OSError)), repr(error)
    text = str(error)
    assert text.strip()
    assert "\n" not in text, text
    assert "Traceback" not in text
    assert len(text) < 2000


def whole(pairs):
    keys = [key for key, _ in pairs]
    if len(set(keys)) < len(keys):
        raise ValueError("a key twice")
    return dict(pairs)


def spelled(value):
    """The name of a prompt, from the description: text as it is, numbers that are equal alike."""
    if isinstance(value, float) and value.is_integer() and not isinstance(value, bool):
        value = int(value)
    if isinstance(value, float):  # a decimal without a power of ten
        return format(Decimal(repr(value)), "f")
    return value if isinstance(value, str) else json.dumps(without_nulls(value), sort_keys=True)


def without_nulls(value):
    if isinstance(value, list):
        return [without_nulls(v) for v in value]
    if isinstance(value, dict):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    return value


def second_reading(data):
    """By prompt, in the order of first rows: the rewards, by rollout; or ValueError."""
    text = data.decode("utf-8-sig")
    if "\n" not in text:
        text = text.replace("\r", "\n")
    lines = text.split("\n")
    found = {}
    for number, line in enumerate(lines):
        if not line.strip():
            continue
        try:
            row = json.loads(line, object_pairs_hook=whole)
        except ValueError:
            if number == len(lines) - 1:
                try:  # a key twice is no unfinished line
                    json.loads(line)
                except ValueError:
                    break  # what a killed run left
            raise
        missing = {name for name in FIELDS if row.get(name) is None or row[name] != row[name]}
        reward = None if "reward" in missing else row["reward"]
        assert reward is None or isinstance(reward, (int, float))
        name = row["prompt"] if "prompt_id" in missing else row["prompt_id"]
        key = None if "rollout" in missing else int(row["rollout"])
        found.setdefault(spelled(name), []).append(
            (math.inf if key is None else key, math.nan if reward is None else float(reward))
        )
    return {
        name: [r for _, r in sorted(own, key=lambda pair: pair[0])] for name, own in found.items()
    }


def many(count):
    return settings(
        max_examples=count,
        derandomize=True,
        deadline=None,
        database=None,
        phases=(Phase.explicit, Phase.generate),  # to shrink a failure takes minutes
        suppress_health_check=list(HealthCheck),
    )


@many(900)
@given(st.data())
def test_rollout_files(tmp_path_factory, data):
    table = data.draw(rows())
    text = "".join(json.dumps(row, ensure_ascii=data.draw(st.booleans())) + "\n" for row in table)
    bare = data.draw(damaged(text.encode("utf-8", "surrogatepass")))
    path = tmp_path_factory.mktemp("fuzz", numbered=True) / "r.jsonl"
    path.write_bytes(packed(bare, data.draw(KINDS)))
    try:
        got = read_rollouts(path)
    except Exception as error:
        one_line(error)
        return
    expected = second_reading(bare)
    assert [str(name) for name in got.prompts] == list(expected)
    np.testing.assert_array_equal(got.rewards, np.concatenate(list(expected.values())))


@many(300)
@given(st.data())
def test_parquet_files(tmp_path_factory, data):
    pl = pytest.importorskip("polars")
    table = data.draw(rows())
    path = tmp_path_factory.mktemp("fuzz", numbered=True) / "r.parquet"
    try:
        pl.DataFrame(
            table, strict=data.draw(st.booleans()), infer_schema_length=None
        ).write_parquet(path)
    except Exception:  # rows that are no table
        return
    expected = pl.read_parquet(path).to_dicts()
    if harm := data.draw(st.booleans()):
        raw = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 4))):
            raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
        path.write_bytes(raw[: data.draw(st.integers(4, len(raw)))])
    try:
        got = read_rollouts(path)
    except Exception as error:
        one_line(error)
        return
    if not harm:  # a file with a changed number is a whole file of another number
        rewards = sorted(
            float(r) for row in expected if (r := row.get("reward")) == r and r is not None
        )
        assert sorted(got.rewards[~np.isnan(got.rewards)]) == rewards
        assert len(got.rewards) == len(expected)


@st.composite
def prompt_file(draw):
    kind = draw(st.sampled_from(["jsonl", "jsonl", "json", "csv", "tsv"]))
    table = [
        {"prompt": f'question {i}, with "quotes"', "answer": draw(st.sampled_from(ODD)), "n": i}
        for i in range(draw(st.integers(1, 4)))
    ]
    if draw(st.booleans()):
        draw(st.sampled_from(table))["prompt"] = draw(st.sampled_from(ODD))
    if kind == "jsonl":
        return kind, table, "".join(json.dumps(row) + "\n" for row in table)
    if kind == "json":
        return kind, table, json.dumps(table)
    import csv
    import io

    out = io.StringIO()
    writer = csv.DictWriter(
        out,
        ["prompt", "answer", "n"],
        delimiter="\t" if kind == "tsv" else draw(st.sampled_from(",;")),
    )
    writer.writeheader()
    table = [{key: str(value) for key, value in row.items()} for row in table]
    writer.writerows(table)
    return kind, table, out.getvalue()


def same(a, b):
    """Equal in value and type, NaN to NaN."""
    if isinstance(a, float) and isinstance(b, float) and math.isnan(a):
        return math.isnan(b)
    if isinstance(a, (list, dict)) and type(a) is type(b):
        if isinstance(a, list):
            return len(a) == len(b) and all(map(same, a, b))
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    return type(a) is type(b) and a == b


@many(400)
@given(st.data())
def test_prompt_files(tmp_path_factory, data):
    kind, table, text = data.draw(prompt_file())
    bare = text.encode("utf-8", "surrogatepass")
    harmed = data.draw(damaged(bare))
    path = tmp_path_factory.mktemp("fuzz", numbered=True) / f"p.{kind}"
    path.write_bytes(packed(harmed, data.draw(KINDS)))
    try:
        got = load_prompts(str(path))
    except Exception as error:
        one_line(error)
        return
    if harmed == bare:
        assert same(got, table), (got, table)


ENDS = [
    "stop",
    "length",
    "content_filter",
    "tool_calls",
    "eos",
    "STOP",
    "error",
    "abort",
    None,
    7,
    "",
]
CONTENTS = [
    "an answer",
    "",
    None,
    " ",
    "half \ud83d",
    5,
    ["a"],
    {},
    [{"type": "text", "text": "part"}],
    [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "so"}],
    [{"type": "text"}],
    "x" * 9000,
]


@st.composite
def answers(draw):
    """The body of an answer of a server, as servers and those between write them, and damaged."""
    message = {"role": "assistant", "content": draw(st.sampled_from(CONTENTS))}
    for name in draw(
        st.sets(st.sampled_from(["reasoning_content", "refusal", "tool_calls", "error"]))
    ):
        message[name] = draw(st.sampled_from([None, "", "text", [{"id": 1}], {"message": "no"}]))
    one = {"index": 0, "finish_reason": draw(st.sampled_from(ENDS)), "message": message}
    if draw(st.integers(0, 4)) == 0:
        one[draw(st.sampled_from(["error", "message", "text"]))] = draw(st.sampled_from(ODD))
    body = {"id": "x", "choices": [one] * draw(st.sampled_from([1, 1, 1, 1, 0, 2]))}
    if draw(st.integers(0, 4)) == 0:
        body[draw(st.sampled_from(["error", "choices", "object"]))] = draw(st.sampled_from(ODD))
    data = json.dumps(body, ensure_ascii=draw(st.booleans())).encode("utf-8", "replace")
    return draw(damaged(data)) if draw(st.booleans()) else data


def second_look(data):
    """The text of an answer and whether it is one at all; None where it cannot be one."""
    body = json.loads(data, object_pairs_hook=whole)
    (one,) = body["choices"]
    message = one["message"] if one.get("message") is not None else {"content": one["text"]}
    assert not any(where.get("error") for where in (body, one, message))
    assert body.get("object") != "error"
    end = one.get("finish_reason")
    assert str(end).lower() not in ("error", "abort")
    content = message.get("content")
    if isinstance(content, (list, dict)):
        parts = content if isinstance(content, list) else [content]
        content = "".join(
            part if isinstance(part, str) else part.get("text", "")
            for part in parts
            if isinstance(part, str) or part.get("type") in ("text", None)
        )
    text = (content or "").encode("utf-8", "replace").decode()
    thought = any(message.get(name) for name in ("reasoning_content", "refusal", "tool_calls"))
    return text, bool(text.strip()) or (not thought and end in ("stop", "eos", "STOP", None, ""))


@many(400)
@given(st.data())
def test_server_answers(tmp_path_factory, answering, data):
    body = data.draw(answers())
    path = tmp_path_factory.mktemp("fuzz", numbered=True) / "r.jsonl"
    answering.body = body
    file = RolloutFile(path)
    service = Service("--endpoint", answering.url, "--api-key-env", None, "m", 10.0, 0, 0.001)
    try:
        sample_endpoint(
            service,
            Sampling(max_new_tokens=5, concurrency=1),
            {0: {"prompt": "question"}},
            lambda prompts, completions, **_: [float(len(text)) for text in completions],
            file,
            m=1,
        )
    except Exception as error:
        one_line(error)
        assert not path.exists()
        return
    (row,) = (json.loads(line) for line in path.read_text().splitlines())
    text, answer = second_look(body)
    assert row["completion"] == text
    assert row["reward"] == (float(len(text)) if answer else None)


@pytest.fixture
def answering():
    with OpenAIServer(faults=lambda _: Sent(server.body), complete=plain) as server:
        yield server
