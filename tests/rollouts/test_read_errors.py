"""Rollout files that cannot be read: the message names the place and what to change."""

import math

import pytest

pl = pytest.importorskip("polars")

from tests.rollouts.test_read import write, write_parquet  # noqa: E402

from bontea.rollouts import _jsonl, read_completions, read_models, read_rollouts  # noqa: E402

BAD_LINES = [
    ("not json", "line 3: not JSON"),
    ('{"prompt": "a", "reward": 1} x', "line 3: not JSON"),
    ('{"prompt": "a", "reward": 1,}', "line 3: not JSON"),
    ('{"prompt": "a", "reward": 1}{"prompt": "a", "reward": 1}', "line 3: not JSON"),
    ("[1]", "line 3: '[1]' is not an object"),
    ("null", "line 3: 'null' is not an object"),
    ('{"reward": 1}', "line 3: no prompt_id and no prompt"),
    ('{"reward": 1, "prompt": null, "prompt_id": null}', "line 3: no prompt_id and no prompt"),
    ('{"prompt": "a"}', "line 3: no reward"),
    ('{"prompt": "a", "x": {"reward": null}}', "line 3: no reward"),
    ('{"prompt": "a", "reward": "1.5"}', "line 3: reward '1.5' is not a number"),
    ('{"prompt": "a", "reward": [1]}', "line 3: reward '[1]' is not a number"),
    ('{"prompt": "a", "reward": Infinity}', "line 3: reward inf is infinite"),
    ('{"prompt": "a", "reward": -1e999}', "line 3: reward -inf is infinite"),
    ('{"prompt": "a", "reward": 1' + "0" * 400 + "}", "0 is infinite"),
    (f'{{"prompt": "a", "reward": {2**1024 - 1}}}', "is infinite"),
    ('{"prompt": "a", "reward": 1, "rollout": "3"}', "line 3: rollout '3' is not an integer"),
    ('{"prompt": "a", "reward": 1, "rollout": 3.5}', "line 3: rollout '3.5' is not an integer"),
    ('{"prompt": "a", "reward": 1, "rollout": 1e99}', "line 3: rollout '1e+99' is not an integer"),
    ('{"prompt": "a", "reward": 1, "x": ' + "[" * 9999 + "]" * 9999 + "}", "line 3: nested too"),
]


@pytest.mark.parametrize("piece", [1, 1 << 23])
@pytest.mark.parametrize(("line", "words"), BAD_LINES, ids=range(len(BAD_LINES)))
def test_bad_lines_are_named(tmp_path, monkeypatch, line, words, piece):
    monkeypatch.setattr(_jsonl, "PIECE", piece)
    good = '{"prompt": "a", "reward": 1}'
    with pytest.raises(ValueError, match="a row is a JSON object") as error:
        read_rollouts(write(tmp_path / "a.jsonl", [good, "", line, good]))
    assert words in str(error.value)


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b'{"prompt": "a", "reward": 1}\n{"prompt": "\xff"}\n')
    with pytest.raises(ValueError, match=r"line 2: byte b'\\xff' at position 13 is not UTF-8"):
        read_rollouts(tmp_path / "a.jsonl")


BAD_FILES = [
    (
        [
            {"prompt": "a", "rollout": 1},
            {"prompt": "b", "rollout": 1},
            {"prompt": "a", "rollout": 1},
        ],
        "s 1 and 3: both are rollout 1 of prompt 'a'; remove one",
    ),
    (
        [{"prompt_id": 3, "prompt": text} for text in ("a", None, "b")],
        "s 1 and 3 ('a', 'b'): prompt '3' has two texts; give each a prompt_id",
    ),
    (
        [{"prompt_id": 3, "stratum": stratum} for stratum in ("a", None, "b")],
        "s 1 and 3 ('a', 'b'): prompt '3' has two strata",
    ),
    (
        [{"prompt": "a", "model": f"m{i}"} for i in range(7)],
        "holds rollouts of 7 models ('m0', 'm1', 'm2', 'm3', 'm4', ...): read one of them",
    ),
    (
        [{"prompt": "a", "model": "m"}, {"prompt": "a", "model": None}],
        "holds rollouts of 2 models ('m', '')",
    ),
]


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
@pytest.mark.parametrize(("rows", "words"), BAD_FILES, ids=range(len(BAD_FILES)))
def test_rows_at_odds_are_named(tmp_path, monkeypatch, rows, words, kind):
    monkeypatch.setattr(_jsonl, "PIECE", 1)
    rows = [{"reward": 1, **row} for row in rows]
    save = write if kind == "jsonl" else write_parquet
    path = save(tmp_path / f"a.{kind}", rows)
    with pytest.raises(ValueError, match="a\\.") as error:
        read_rollouts(path)
    assert words.replace("s 1", "lines 1" if kind == "jsonl" else "rows 1", 1) in str(error.value)


def test_rows_at_odds_are_found_behind_blank_lines(tmp_path):
    row = '{"prompt": "a", "reward": 1, "rollout": 0}'
    with pytest.raises(ValueError, match="lines 2 and 5: both are rollout 0"):
        read_rollouts(write(tmp_path / "a.jsonl", ["", row, "", " ", row]))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"prompt": ["a"], "x": [1]}, "its fields are prompt, x. Name those"),
        ({"reward": [1]}, "its fields are reward. Name those"),
        ({"x": [1]}, "its fields are x. Name those"),
        ({"prompt": ["a"], "reward": ["1"]}, "the column reward holds String, not numbers"),
        ({"prompt": ["a"], "reward": [1], "rollout": ["1"]}, "column rollout holds String"),
        ({"prompt": ["a", "a"], "reward": [1, math.inf]}, "row 2: the reward is infinite"),
        ({"prompt": ["a", None], "reward": [1, 2]}, "row 2: there is no prompt_id and no prompt"),
        (
            {"prompt": ["a", "a"], "reward": [1, 2], "rollout": [1, 2.5]},
            "row 2: the rollout is not an integer",
        ),
        ({"prompt": ["a"], "reward": [1], "rollout": [1e99]}, "row 1: the rollout is not an"),
        ({"prompt": ["a"], "reward": [1], "rollout": [2**63]}, "rows 1 to .* cannot be read"),
        ({"prompt": [], "reward": []}, "holds no rollouts"),
    ],
)
def test_bad_parquet(tmp_path, columns, message):
    pl.DataFrame(columns, strict=False).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=message):
        read_rollouts(tmp_path / "a.parquet")


def test_parquet_that_is_not_whole(tmp_path):
    path = write_parquet(
        tmp_path / "a.parquet", [{"prompt_id": i % 50, "reward": i / 7} for i in range(3000)]
    )
    data = path.read_bytes()
    for broken in (data[: len(data) // 2], data[:-1], b"", b"PAR1" + bytes(99) + b"PAR1"):
        path.write_bytes(broken)
        for read in (read_rollouts, read_models, lambda path: read_completions(path, [0])):
            with pytest.raises(ValueError, match="is not a whole Parquet file"):
                read(path)


def test_no_file_no_rows(tmp_path):
    for read in (read_rollouts, read_models, lambda path: read_completions(path, [0])):
        with pytest.raises(FileNotFoundError, match="is not there"):
            read(tmp_path / "none.jsonl")
        with pytest.raises(IsADirectoryError, match="is a folder"):
            read(tmp_path)
        with pytest.raises(ValueError, match=r"a\.csv holds no rollouts"):
            read(write(tmp_path / "a.csv", ["x"]))
    for text in ("", "\n \n\n", '{"prompt": "a", "rew'):
        (tmp_path / "a.jsonl").write_text(text)
        with pytest.raises(ValueError, match=r"a\.jsonl holds no rollouts"):
            read_rollouts(tmp_path / "a.jsonl")
