"""Tables as text: every field as it is written, the separator found, odd rows refused."""

import gzip

import pytest

from bontea._errors import BonteaError
from bontea.rollouts._csv import read_csv


def read(path, data):
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    names, rows = read_csv(path)
    return names, list(rows)


def test_fields_stay_text(tmp_path):
    fields = ["007", "null", "NA", "1e5", "True", "", " x ", "2024-01-01", "12345678901234567890"]
    names, rows = read(tmp_path / "p.csv", "prompt,code\n" + "".join(f"p,{f}\n" for f in fields))
    assert names == ["prompt", "code"]
    assert rows == [(i, {"prompt": "p", "code": f}) for i, f in enumerate(fields, start=2)]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["p.csv", "p.tsv"])
def test_the_separator_is_found(tmp_path, separator, name):
    table = [["prompt", "a", "b"], ["x", "1", "2.5"], [f'"say {separator} ""hi""\n.,;|"', "", "ü"]]
    text = "".join(separator.join(fields) + "\n" for fields in table)
    names, rows = read(tmp_path / name, text)
    assert names == ["prompt", "a", "b"]
    assert rows == [
        (2, {"prompt": "x", "a": "1", "b": "2.5"}),
        (3, {"prompt": f'say {separator} "hi"\n.,;|', "a": "", "b": "ü"}),
    ]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("prompt\nhello\nworld", [{"prompt": "hello"}, {"prompt": "world"}]),
        ('prompt\n"a, b"\n', [{"prompt": "a, b"}]),
        ("a;b\n1,5;2,5\n3,5;x\n", [{"a": "1,5", "b": "2,5"}, {"a": "3,5", "b": "x"}]),
        ("sep=|\na,b|c\n1|2\n", [{"a,b": "1", "c": "2"}]),
        ('prompt,"a|b"\nx,1|2\n', [{"prompt": "x", "a|b": "1|2"}]),
        ("\n\na,b\n\n1,2\n  \n", [{"a": "1", "b": "2"}]),
        ('a\n""\n', [{"a": ""}]),
        ("a,b\r\n1,2\r\n", [{"a": "1", "b": "2"}]),
        ("a,b\r1,2\r", [{"a": "1", "b": "2"}]),
        (b"\xef\xbb\xbfa,b\n1,2\n", [{"a": "1", "b": "2"}]),
        ("a,b\n1,ü\n".encode("utf-16"), [{"a": "1", "b": "ü"}]),
        (gzip.compress(b"a,b\n1,2\n", mtime=0), [{"a": "1", "b": "2"}]),
        ("a,b\n1," + 200_000 * "x", [{"a": "1", "b": 200_000 * "x"}]),
        ("a,b\n1,\u2028x\x0b\n", [{"a": "1", "b": "\u2028x\x0b"}]),
        (",prompt\n0,x\n", [{"": "0", "prompt": "x"}]),
    ],
)
def test_tables_of_every_kind(tmp_path, text, rows):
    assert [row for _, row in read(tmp_path / "p.csv", text)[1]] == rows


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is an empty file"),
        ("\n \n", "is an empty file"),
        ("a,b\n1,2\n1,2,3\n", r"line 3: 3 fields where the header has 2 \(separated by commas\)"),
        ("a,b\n1,2\n1\n", "line 3: 1 field where the header has 2"),
        ('a,b\n1,"x\ny"\n1\n', "line 4: 1 field where"),
        ("prompt\nhello, world\n", "line 2: 2 fields where the header has 1 .*quotation marks"),
        ("a,b,a\n1,2,3\n", "line 1: the column 'a' is there twice"),
        ("a,,\n1,2,3\n", "line 1: two columns have no name"),
        ('a,b\n1,"x\n1,2\n1,2\n', "line 2: unexpected end of data: a field with a quotation mark"),
        ('a,b\n1,"x\\"y"\n', "line 2: .* doubled"),
        ("a,b|c\n1,2|3\n", "commas or bars: .*sep=,"),
        (b"a,b\n1,\xff\n", r"line 2: byte b'\\xff' at position 3 is not UTF-8"),
    ],
)
def test_what_is_refused(tmp_path, text, said):
    with pytest.raises(BonteaError, match=said):
        read(tmp_path / "p.csv", text)
