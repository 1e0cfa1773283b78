"""Rollout files: any order, any size of groups, and what is said about each way to be wrong."""

import gzip
import json
import math

import numpy as np
import pytest

pl = pytest.importorskip("polars")

from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from bontea import calibrate_tail  # noqa: E402
from bontea.rollouts import (  # noqa: E402
    _jsonl,
    _parquet,
    read_completions,
    read_models,
    read_rollouts,
)

CHAT = [{"role": "user", "content": 'say "é\\n"\n\u2028\x01 in \t😀'}]
OTHER_CHAT = [{"role": "user", "content": 'say "é\\n"\n\u2028\x01 in \t😁'}]


def write(path, rows, **options):
    """One row a line; text rows go in as they are."""
    lines = [row if isinstance(row, str) else json.dumps(row, **options) for row in rows]
    path.write_bytes("".join(line + "\n" for line in lines).encode())
    return path


def write_parquet(path, rows, **options):
    pl.DataFrame(rows, infer_schema_length=None).write_parquet(path, **options)
    return path


def name_of(row):
    """What the prompt of a row is called."""
    key = row["prompt"] if row.get("prompt_id") is None else row["prompt_id"]
    return key if isinstance(key, str) else json.dumps(key, ensure_ascii=False, sort_keys=True)


def twin(rows, model=""):
    """Prompts, and of each rollout (reward, characters, row): the same by dicts and lists."""
    groups = {}
    for i, row in enumerate(rows):
        if row.get("model", "") != model:
            continue
        reward, completion, rollout = row["reward"], row.get("completion"), row.get("rollout")
        entry = (
            math.nan if reward is None else float(reward),
            math.nan if completion is None else float(len(completion)),
            float(i),
        )
        groups.setdefault(name_of(row), []).append(
            (math.inf if rollout is None else rollout, entry)
        )
    return {
        name: [entry for _, entry in sorted(group, key=lambda pair: pair[0])]
        for name, group in groups.items()
    }


def assert_same(got, expected):
    assert got.prompts.tolist() == list(expected)
    assert got.counts.tolist() == [len(group) for group in expected.values()]
    lengths = np.full(len(got.rewards), np.nan) if got.lengths is None else got.lengths
    flat = [entry for group in expected.values() for entry in group]
    np.testing.assert_array_equal(np.stack([got.rewards, lengths, got.rows], axis=1), flat)
    assert (got.lengths is None) == np.isnan(lengths).all()


PROMPTS = st.sampled_from(
    ["a", "b", "", "1", "null", "[", '["a"]', 'q"\\\n', CHAT, OTHER_CHAT, CHAT + OTHER_CHAT]
)
REWARDS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
)
ROWS = st.fixed_dictionaries(
    {"reward": REWARDS, "prompt": PROMPTS},
    optional={
        "completion": st.one_of(st.none(), st.text(max_size=8)),
        "model": st.sampled_from(["x", "y"]),
        "extra": st.sampled_from([1, "1", {"a": [{"b": 2}]}, [[]], {"reward": None}]),
    },
)
FILE = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture],
    "max_examples": 100,
}


@given(
    rows=st.lists(ROWS, min_size=1, max_size=12),
    ids=st.sampled_from(["none", "int", "text", "mixed"]),
    numbered=st.sampled_from(["none", "all", "some"]),
    seed=st.integers(0, 99),
    piece=st.sampled_from([1, 100, 1 << 23]),
    ascii=st.booleans(),
)
@settings(**FILE)
def test_jsonl_against_its_twin(tmp_path, rows, ids, numbered, seed, piece, ascii):
    rng = np.random.default_rng(seed)
    texts = []
    for i, row in enumerate(rows):
        if row["prompt"] not in texts:
            texts.append(row["prompt"])
        key = texts.index(row["prompt"])
        if ids != "none":
            row["prompt_id"] = str(key) if ids == "text" or (ids == "mixed" and i % 2) else key
            # A prompt with an id need not have its text in every row.
            if rng.random() < 0.5 and i:
                del row["prompt"]
        if numbered == "all" or (numbered == "some" and rng.random() < 0.5):
            row["rollout"] = int(100 * rng.permutation(9)[0] + i) - 300
    path = tmp_path / "r.jsonl"
    write(path, rows, ensure_ascii=ascii)
    models = list(dict.fromkeys(row.get("model", "") for row in rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_jsonl, "PIECE", piece)
        assert read_models(path) == ([] if models == [""] else models)
        for model in models:
            got = read_rollouts(path, model=model if len(models) > 1 else None)
            assert_same(got, twin(rows, model))
            assert got.model == (model or None)
        wanted = rng.permutation(len(rows)).tolist()
        expected = [rows[i].get("completion") for i in wanted]
        assert read_completions(path, wanted) == expected


@given(
    rows=st.lists(ROWS, min_size=1, max_size=12),
    key=st.sampled_from(["prompt", "prompt_id", "chat"]),
    kind=st.sampled_from([float, bool, int]),
    step=st.sampled_from([1, 5, 1000]),
    group=st.sampled_from([3, 1000]),
)
@settings(**FILE)
def test_parquet_is_the_same_as_jsonl(tmp_path, rows, key, kind, step, group):
    for i, row in enumerate(rows):
        row.pop("extra", None)
        row["completion"] = row.get("completion")
        row["model"] = "x"
        row["rollout"] = None if i % 3 == 0 else -i
        if row["reward"] is not None:
            row["reward"] = kind(row["reward"]) if abs(row["reward"]) < 2**40 else kind(1)
        if key == "chat":
            row["prompt"] = [{"role": "user", "content": str(row["prompt"])}]
            if i % 2:  # which gives the others a field "name", which is null
                row["prompt"].append({"role": "user", "name": "n", "content": None})
        else:
            row["prompt"] = str(row["prompt"])
        if key == "prompt_id":
            row["prompt_id"] = len(row["prompt"]) * 1000 + sum(map(ord, row["prompt"]))
    jsonl = read_rollouts(write(tmp_path / "r.jsonl", rows))
    path = write_parquet(tmp_path / "r.parquet", rows, row_group_size=group)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_parquet, "LEAST_ROWS", step)
        patch.setattr(_parquet, "MOST_ROWS", step)
        got = read_rollouts(path)
        wanted = [*range(len(rows))][::-1]
        assert read_completions(path, wanted) == [rows[i]["completion"] for i in wanted]
        assert read_models(path) == ["x"]
    for name in ("rewards", "offsets", "prompts", "texts", "lengths", "rows"):
        one, other = getattr(got, name), getattr(jsonl, name)
        if one is None or other is None:
            assert one is other
        else:
            np.testing.assert_array_equal(one, other, err_msg=name)
            assert one.dtype == other.dtype
    assert (got.model, jsonl.model) == ("x", "x")


def test_prompts_by_id_text_and_chat(tmp_path):
    rows = [
        {"prompt_id": 7, "reward": 1, "prompt": "seven"},
        {"prompt_id": "x", "reward": 0.5, "stratum": "hard"},
        {"prompt_id": "7", "reward": None},  # 7 and "7" are one prompt
        {"prompt": CHAT, "reward": True, "stratum": 2},
        {"prompt": [{"content": CHAT[0]["content"], "role": "user"}], "reward": 3},
        {"prompt": OTHER_CHAT, "reward": 4},
        {"prompt_id": 7, "reward": -2.5, "stratum": "easy"},
    ]
    got = read_rollouts(write(tmp_path / "a.jsonl", rows))
    chat, other = (json.dumps(c, ensure_ascii=False, sort_keys=True) for c in (CHAT, OTHER_CHAT))
    assert got.prompts.tolist() == ["7", "x", chat, other]
    assert got.texts.tolist() == ["seven", "", chat, other]
    assert got.strata.tolist() == ["easy", "hard", "2", ""]
    nan = math.nan
    np.testing.assert_array_equal(
        np.asarray(got), [[1, nan, -2.5], [0.5, nan, nan], [1, 3, nan], [4, nan, nan]]
    )
    assert got.source == str(tmp_path / "a.jsonl")
    calibrate_tail(read_rollouts(write(tmp_path / "b.jsonl", normal_rows())))  # and they are of use


def normal_rows():
    rewards = np.random.default_rng(0).normal(size=(20, 16))
    return [{"prompt_id": i, "reward": r} for i, row in enumerate(rewards) for r in row.tolist()]


def test_types_that_change_late(tmp_path):
    """No type is taken from the first rows: null, then integers, then floats, and text as ids."""
    rows = [{"prompt_id": i % 3, "reward": None, "completion": None} for i in range(5000)]
    rows += [{"prompt_id": i % 3, "reward": i, "completion": "é" * 3} for i in range(5000)]
    rows += [{"prompt_id": f"x{i % 3}", "reward": i + 0.25, "prompt": CHAT} for i in range(500)]
    rows += [{"prompt_id": f"x{i % 3}", "reward": i % 2 == 0, "q": {"a": 1}} for i in range(500)]
    got = read_rollouts(write(tmp_path / "a.jsonl", rows))
    assert_same(got, twin(rows))
    assert got.texts.tolist()[:3] == [""] * 3


def test_a_reward_that_is_text_in_row_100_000(tmp_path):
    rows = ['{"prompt": "a", "reward": 0.5}'] * 100_000
    path = tmp_path / "a.jsonl"
    write(path, [*rows[:-1], '{"prompt": "a", "reward": "0.5"}', *rows[:9]])
    with pytest.raises(ValueError, match=r"line 100000: reward '0\.5' is not a number"):
        read_rollouts(path)


def test_long_completions(tmp_path):
    """Lines longer than a piece of the file, and Unicode at its seams."""
    long = "é😀\u2028" * 300_000
    rows = [{"prompt": "a", "reward": i, "completion": long[:-i]} for i in range(1, 9)]
    path = write(tmp_path / "a.jsonl", rows, ensure_ascii=False)
    assert path.stat().st_size > 2 * _jsonl.PIECE
    assert_same(read_rollouts(path), twin(rows))
    assert read_completions(path, [6]) == [long[:-7]]
    parquet = write_parquet(tmp_path / "a.parquet", rows)
    assert_same(read_rollouts(parquet), twin(rows))
    assert read_completions(parquet, [6]) == [long[:-7]]


def test_nan_tokens_and_half_surrogates(tmp_path):
    """What Python writes and other readers refuse."""
    rows = [
        {"prompt": "a", "reward": math.nan, "prompt_id": math.nan, "completion": "\ude00x"},
        {"prompt": "a", "reward": 1, "stratum": math.nan, "model": None, "rollout": math.nan},
        {"prompt": "\ude00", "reward": 2, "completion": "\ud83d", "x": math.inf},
    ]
    got = read_rollouts(write(tmp_path / "a.jsonl", rows))
    assert got.prompts.tolist() == ["a", "?"]  # half a character cannot be written
    np.testing.assert_array_equal(got.rewards, [math.nan, 1, 2])
    np.testing.assert_array_equal(got.lengths, [2, math.nan, 1])
    assert (got.strata, got.model) == (None, None)


@pytest.mark.parametrize("more", [[], [{"prompt": "b", "reward": True}]])  # then line by line
def test_nan_in_a_text_is_text(tmp_path, more):
    text = '\\": NaN, ": NaN, \\\\" :NaN'
    rows = [{"prompt": text, "reward": math.nan, "completion": text, "x": math.nan}, *more]
    rows += [{"prompt": text, "reward": 1, text: math.nan}]
    path = write(tmp_path / "a.jsonl", rows)
    assert_same(read_rollouts(path), twin(rows))
    assert read_completions(path, [0]) == [text]


def test_what_is_written_often_is_not_read_line_by_line(tmp_path, monkeypatch):
    def never(*_):
        raise AssertionError("line by line")

    monkeypatch.setattr(_jsonl, "_by_line", never)
    for values in ([True, None, False], [0.5, math.nan, 2], [None, None, 10**20]):
        rows = [{"prompt": "a", "reward": v, "x": {"score": math.nan}} for v in values]
        got = read_rollouts(write(tmp_path / "a.jsonl", rows))
        np.testing.assert_array_equal(got.rewards, np.array(values, dtype=float))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_line_ends_blank_lines_and_byte_order_marks(tmp_path, end, mark):
    rows = [{"prompt": "a", "reward": 1, "completion": "x"}, {"prompt": "b", "reward": 2}]
    path = tmp_path / "a.jsonl"
    text = end.join(["", json.dumps(rows[0]), "  ", "", json.dumps(rows[1]), ""])
    path.write_bytes(mark + text.encode())
    assert_same(read_rollouts(path), twin(rows))
    assert read_completions(path, [1, 0]) == [None, "x"]
    path.write_bytes(mark + (text + "{oops" + end).encode())
    with pytest.raises(ValueError, match="line 6: not JSON"):
        read_rollouts(path)


@pytest.mark.parametrize("piece", [1, 1 << 23])
@pytest.mark.parametrize("cut", range(1, 50, 4))
def test_a_line_cut_off_is_left_out_and_the_file_left_alone(tmp_path, monkeypatch, cut, piece):
    monkeypatch.setattr(_jsonl, "PIECE", piece)
    path = write(tmp_path / "a.jsonl", [{"prompt": "é", "reward": i + 0.5} for i in range(3)])
    data = path.read_bytes()[:-cut]
    path.write_bytes(data)
    whole = [line for line in data.split(b"\n") if line.endswith(b"}")]
    assert read_rollouts(path).rewards.tolist() == [i + 0.5 for i in range(len(whole))]
    assert path.read_bytes() == data


def test_gzip(tmp_path):
    rows = [{"prompt": i % 7, "reward": i} for i in range(1000)]
    path = tmp_path / "a.jsonl.gz"
    data = gzip.compress(write(tmp_path / "a.jsonl", rows).read_bytes())
    path.write_bytes(data)
    assert_same(read_rollouts(path), twin(rows))
    for broken in (data[: len(data) // 2], data[:50] + bytes(50) + data[100:], b"hello"):
        path.write_bytes(broken)
        with pytest.raises(ValueError, match=r"not a whole compressed file|not JSON"):
            read_rollouts(path)


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_models(tmp_path, kind):
    save = write if kind == "jsonl" else write_parquet
    rows = [{"prompt": "a", "reward": i, "rollout": i // 2, "model": "mn"[i % 2]} for i in range(6)]
    path = save(tmp_path / f"a.{kind}", rows)
    assert read_models(path) == ["m", "n"]
    got = read_rollouts(path, model="n")
    assert (got.model, got.rewards.tolist(), got.rows.tolist()) == ("n", [1, 3, 5], [1, 3, 5])
    with pytest.raises(ValueError, match=r"of model 'q', but of 2 models \('m', 'n'\)"):
        read_rollouts(path, model="q")
    bare = save(tmp_path / f"b.{kind}", [{"prompt": "a", "reward": 1}])
    assert read_models(bare) == []
    assert read_rollouts(bare).model is None
    with pytest.raises(ValueError, match="of model 'q', but of a model without a name"):
        read_rollouts(bare, model="q")


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_completions_that_are_not_there(tmp_path, kind):
    save = write if kind == "jsonl" else write_parquet
    path = save(tmp_path / f"a.{kind}", [{"prompt": "a", "reward": 1}] * 3)
    assert read_rollouts(path).lengths is None
    assert read_completions(path, [2, 2, 0]) == [None] * 3
    assert read_completions(path, np.array([], dtype=int)) == []
    with pytest.raises(ValueError, match="has no row 3"):
        read_completions(path, [0, 3])
    with pytest.raises(ValueError, match="row -1 must be at least 0"):
        read_completions(path, [-1])
    chats = [{"prompt": "a", "reward": 1, "completion": CHAT}, {"prompt": "a", "reward": 1}]
    (text, nothing) = read_completions(save(tmp_path / f"c.{kind}", chats), [0, 1])
    assert (json.loads(text), nothing) == (CHAT, None)


def test_parquet_types(tmp_path):
    frame = pl.DataFrame(
        {
            "prompt_id": pl.Series([1, 2, 1], dtype=pl.UInt8),
            "prompt": pl.Series(["p", "q", "p"], dtype=pl.Categorical),
            "reward": pl.Series(["0.25", "1", None]).cast(pl.Decimal(10, 2)),
            "rollout": [2.0, math.nan, 1.0],  # pandas: integers with a gap
            "stratum": [1, 2, 1],
        }
    )
    frame.write_parquet(tmp_path / "a.parquet")
    got = read_rollouts(tmp_path / "a.parquet")
    assert (got.prompts.tolist(), got.texts.tolist()) == (["1", "2"], ["p", "q"])
    assert got.strata.tolist() == ["1", "2"]
    np.testing.assert_array_equal(np.asarray(got), [[math.nan, 0.25], [1, math.nan]])


def test_a_file_with_a_pattern_for_a_name(tmp_path):
    path = write_parquet(tmp_path / "a[1]*.parquet", [{"prompt": "a", "reward": 1}])
    assert read_rollouts(path).rewards.tolist() == [1]


def test_an_id_that_no_float_holds(tmp_path):
    rows = [{"prompt_id": 10**400 + i % 2, "reward": i} for i in range(4)]
    got = read_rollouts(write(tmp_path / "a.jsonl", rows))
    assert got.prompts.tolist() == [str(10**400), str(10**400 + 1)]
    assert [got.group(p).tolist() for p in range(2)] == [[0, 2], [1, 3]]
