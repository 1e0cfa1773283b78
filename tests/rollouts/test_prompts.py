"""Prompt files of every kind, and what is wrong with them in one message."""

import datetime
import gzip
import json

import pytest

from bontea._errors import BonteaError
from bontea.rollouts.prompts import load_prompts
from bontea.rollouts.settings import fingerprint


def write(path, text):
    path.write_text(text)
    return str(path)


def test_jsonl_keeps_order_and_columns(tmp_path):
    rows = [{"prompt": f"p{i}", "answer": i} for i in range(5)]
    source = write(tmp_path / "p.jsonl", "\n".join(map(json.dumps, rows)))
    assert load_prompts(source) == rows


VALUES = [
    {"prompt": "a", "n": 3, "when": "2024-01-01", "code": "007", "o": {"x": 1}, "big": 10**20},
    {"prompt": "b", "n": None, "when": "2024-01-01T10:00:00Z", "code": 7, "o": {"y": [None, 2.0]}},
    {"prompt": "c", "n": 0.5, "when": None, "code": True, "o": [], "late": {}},
]
WHOLE = [{name: row.get(name) for name in {**VALUES[0], "late": None}} for row in VALUES]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.jsonl", "\n\n".join(map(json.dumps, VALUES))),
        ("p.JSONL", "\r\n".join(map(json.dumps, VALUES))),
        ("p.ndjson", "\r".join(map(json.dumps, VALUES))),
        ("p.json", "\n".join(map(json.dumps, VALUES))),
        ("p.json", json.dumps(VALUES)),
        ("p.json", json.dumps(VALUES, indent=2)),
        ("p.json", json.dumps({"version": 1, "data": VALUES}, indent=2)),
        ("p.json", json.dumps({"data": VALUES})),
        ("p.jsonl.gz", gzip.compress("\n".join(map(json.dumps, VALUES)).encode())),
        ("p.jsonl", gzip.compress("\n".join(map(json.dumps, VALUES)).encode("utf-16"))),
    ],
)
def test_json_values_are_what_the_file_has(tmp_path, name, text):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert list(map(repr, map(sorted_items, load_prompts(str(path))))) == list(
        map(repr, map(sorted_items, WHOLE))
    )


def sorted_items(row):
    """A row for `repr`, in which 3, 3.0 and True differ."""
    return sorted(row.items())


def test_one_object_is_one_row(tmp_path):
    chat = [{"role": "user", "content": "hi"}]
    source = write(tmp_path / "p.json", json.dumps({"messages": chat}, indent=1))
    assert load_prompts(source, column="messages") == [{"prompt": chat}]
    with pytest.raises(BonteaError, match="no column 'prompt'; its columns are messages"):
        load_prompts(source)


def test_csv_stays_text(tmp_path):
    fields = ["007", "null", "NA", "1e5", "True", "", "2024-01-01", "nan", "-0"]
    text = "code;prompt\n" + "".join(f"{field};p{i}\n" for i, field in enumerate(fields))
    rows = load_prompts(write(tmp_path / "p.csv", text))
    assert rows == [{"code": field, "prompt": f"p{i}"} for i, field in enumerate(fields)]
    packed = tmp_path / "p.tsv.gz"
    packed.write_bytes(gzip.compress(text.replace(";", "\t").encode()))
    assert load_prompts(str(packed)) == rows


def test_csv_and_column_name(tmp_path):
    source = write(tmp_path / "p.csv", "question,id\nhello,1\nworld,2\n")
    assert [row["prompt"] for row in load_prompts(source, column="question")] == ["hello", "world"]
    with pytest.raises(ValueError, match="no column 'prompt'; its columns are question, id"):
        load_prompts(source)


def test_parquet(tmp_path):
    pl = pytest.importorskip("polars")
    day = datetime.date(2024, 1, 1)
    rows = [
        {"prompt": "a", "n": 3, "day": day, "x": 0.5, "o": [1, None]},
        {"prompt": "b", "n": None, "day": None, "x": None, "o": None},
    ]
    path = tmp_path / "p.Parquet"
    pl.DataFrame(rows).write_parquet(path)
    assert load_prompts(str(path)) == rows
    assert type(load_prompts(str(path))[0]["n"]) is int


def test_parquet_chats_have_no_fields_of_other_turns(tmp_path):
    """A column of chats has one type: what a turn has not is null in the file."""
    pl = pytest.importorskip("polars")
    call = {"type": "function", "function": {"name": "add", "arguments": {"a": 1}}}
    chats = [
        [{"role": "user", "content": "hi"}],
        [
            {"role": "user", "content": "1 + 1"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "content": "2", "name": "add"},
        ],
    ]
    path = tmp_path / "p.parquet"
    lines = "\n".join(json.dumps({"prompt": chat}) for chat in chats)
    pl.read_ndjson(lines.encode(), infer_schema_length=None).write_parquet(path)
    found = [row["prompt"] for row in load_prompts(str(path))]
    del chats[1][1]["content"]
    assert found == chats


CALL = {
    "id": "c1",
    "type": "function",
    "function": {"name": "add", "arguments": '{"a": 1, "b": null}'},
}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
CHAT = [
    {"role": "developer", "content": "Be brief.", "name": "boss"},
    {"role": "user", "content": [{"type": "text", "text": "What is it?"}, IMAGE]},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "2"},
    {"role": "user", "content": ""},
    {"role": "assistant", "content": "It is", "reasoning_content": None},
]


def test_turns_keep_their_fields(tmp_path):
    source = write(tmp_path / "p.jsonl", json.dumps({"prompt": CHAT, "tools": [{"name": "add"}]}))
    assert load_prompts(source) == [{"prompt": CHAT, "tools": [{"name": "add"}]}]
    source = write(tmp_path / "p.jsonl", json.dumps({"prompt": CHAT, "tools": '[{"name": "f"}]'}))
    assert load_prompts(source)[0]["tools"] == [{"name": "f"}]
    source = write(tmp_path / "p.jsonl", json.dumps({"prompt": "a", "tools": "hammer"}))
    assert load_prompts(source)[0]["tools"] == "hammer"


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ([], "empty list"),
        ([{}], "turn 1 has the role None"),
        ([{"role": 3, "content": "x"}], "turn 1 has the role 3"),
        ([{"role": "user"}], "turn 1 has no content"),
        ([{"role": "user", "content": None, "tool_calls": [CALL]}], "turn 1 has no content"),
        ([CHAT[0], {"role": "assistant", "content": None}], "turn 2 has no content"),
        ([CHAT[0], {"role": "assistant", "content": " "}], "no text to continue"),
        ([CHAT[0], {"role": "assistant", "tool_calls": [CALL]}], "no text to continue"),
        ([{"role": "user", "content": "x", "tool_calls": "f"}], "no list of objects"),
        ([{"role": "user", "content": ""}], "without any content"),
        ([{"role": "user", "content": []}], "neither text nor a list of parts"),
        ([{"role": "user", "content": 3}], "neither text nor a list of parts"),
        ([{"role": "user", "content": ["hi"]}], "turn 1 has a part 'hi'"),
        ([{"role": "user", "content": [{"type": "text"}]}], "without a text"),
        (["hi"], "turn 1 is not"),
        ({"role": "user", "content": "x"}, "is not a prompt"),
        (None, "'null' is not a prompt"),
    ],
)
def test_what_is_no_prompt(tmp_path, prompt, said):
    rows = [{"prompt": "fine"}, {"prompt": prompt}]
    source = write(tmp_path / "p.jsonl", "\n\n".join(map(json.dumps, rows)))
    with pytest.raises(BonteaError, match=f"line 3: .*{said}"):
        load_prompts(source)


NAMES = ["p[1]", "a*b", "what?", "~x", "sp ace", "b{a,c}", "50%20x", "猫", "-d", "a[!b]", "s3:x"]


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_a_path_is_a_path(tmp_path, monkeypatch, suffix):
    """Each file holds its own name, and next to it is one that a pattern would find."""
    pl = pytest.importorskip("polars")
    monkeypatch.chdir(tmp_path)
    names = [*NAMES, "p1", "aXb", "whatX", "ba", "aX"]
    for name in names:
        path = tmp_path / f"{name}.{suffix}"
        if suffix == "jsonl":
            write(path, json.dumps({"prompt": name}))
        elif suffix == "csv":
            write(path, f"prompt\n{name}\n" if "," not in name else f'prompt\n"{name}"\n')
        else:
            pl.DataFrame({"prompt": [name]}).write_parquet(path)
    for name in names:
        assert load_prompts(f"{name}.{suffix}") == [{"prompt": name}]
        assert load_prompts(str(tmp_path / f"{name}.{suffix}")) == [{"prompt": name}]


def test_the_fingerprint_of_an_old_file_is_still_that_of_its_prompts(tmp_path):
    """What `datasets` and the present reader read alike can be resumed."""
    datasets = pytest.importorskip("datasets")
    rows = [
        {"prompt": [{"role": "user", "content": "hi"}], "answer": 3, "why": None, "x": 0.5},
        {"prompt": [{"role": "user", "content": "ho"}], "answer": None, "why": "so", "x": 2.0},
    ]
    source = write(tmp_path / "p.jsonl", "\n".join(map(json.dumps, rows)))
    before = datasets.load_dataset(
        "json", data_files=source, split="train", cache_dir=str(tmp_path / "cache")
    )
    assert fingerprint(load_prompts(source)) == fingerprint([dict(row) for row in before])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.jsonl", "", "empty file"),
        ("p.jsonl", "\n \n", "empty file"),
        ("p.jsonl", '{"prompt": "a"}\n{"prompt": ', "line 2: not JSON"),
        ("p.jsonl", '{"prompt": "a"}\n{"prompt": ""}', "line 2: the prompt is an empty text"),
        ("p.jsonl", '{"prompt": "a"}\n["b"]', "line 2: .* is not an object"),
        ("p.jsonl", '{"prompt": "a"}\n{"prompt": "b", "x": 1, "x": 2}', "line 2: the key 'x'"),
        ("p.jsonl", '{"prompt": "a"}\n{"prompt": "\\ud800"}', "line 2: .*half of a pair"),
        ("p.jsonl", '{"prompt": 3}', "line 1.*not a prompt"),
        ("p.jsonl", '{"prompt": [{"role": "user", "content": "x"}], "tools": "hammer"}', "tools"),
        ("p.json", '[{"prompt": "a"}, 3]', "row 2: '3' is not an object"),
        ("p.json", "[]", "holds no rows"),
        ("p.json", '[{"prompt": "a"}', "not JSON"),
        ("p.csv", "prompt,answer\n", "holds no rows"),
        ("p.csv", "prompt,answer\na,b\nc,d,e\n", "line 3: 3 fields where the header has 2"),
        ("p.parquet", "hello", "not a whole Parquet file"),
        ("p.jsonl", "PAR1....", "is a Parquet file"),
        ("p.txt", "hello", "must end in"),
    ],
)
def test_bad_files(tmp_path, name, text, message):
    with pytest.raises(ValueError, match=message):
        load_prompts(write(tmp_path / name, text))


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="not there"):
        load_prompts(str(tmp_path / "none.jsonl"))
    for none in ("~/none.jsonl", "~nobody.jsonl", "none.csv.gz"):
        with pytest.raises(FileNotFoundError, match="not there"):
            load_prompts(none)
    with pytest.raises(FileNotFoundError, match="a folder"):
        load_prompts(str(tmp_path))
