"""The HTML report as text: structure, escaping, numbers, and what it may load. No browser."""

import base64
import hashlib
import html
import itertools
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given as examples_of
from hypothesis import strategies as st
from tests.report.pages import ATTACK, ATTACKS, results, write

import bontea.report.html as report
from bontea.curves import curve
from bontea.report import html_parts as parts
from bontea.report.html_charts import SYMBOLS, styles
from bontea.report.html_sections import curve_lines, outcome, sentence
from bontea.rollouts.groups import as_rollouts

VOID = {"meta", "input", "br", "img", "link", "hr"}


class Page(HTMLParser):
    """Elements of a page in order, with their text; fails on tags that do not match."""

    def __init__(self, path):
        super().__init__(convert_charrefs=True)
        self.elements, self.open = [], []
        self.source = Path(path).read_text(encoding="utf-8")
        # The library is the last script, and not ours to check.
        self.feed(self.source[: self.source.rindex("<script>")])
        self.feed("</body></html>")
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        parents = [e["tag"] for e in self.open]
        element = {"tag": tag, "attrs": dict(attrs), "text": "", "parents": parents}
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop()["tag"] == tag

    def handle_data(self, data):
        for element in self.open:
            element["text"] += data

    def all(self, tag):
        return [e for e in self.elements if e["tag"] == tag]

    def id(self, name):
        (found,) = [e for e in self.elements if e["attrs"].get("id") == name]
        return found


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    return results(tmp_path_factory.mktemp("rollouts"), ["start", "tea"])


@pytest.fixture(scope="module")
def page(given, tmp_path_factory):
    return Page(write(tmp_path_factory.mktemp("page") / "report.html", given))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    names = [ATTACKS["model"], "plain"]
    given = results(folder, names, hostile=True, diagnosed=False)
    given["settings"] = given["settings"] | {"command": ATTACK, ATTACK: ATTACK}
    return Page(write(folder / "report.html", given))


# --- what the page may load ---------------------------------------------------------------------


def test_nothing_is_fetched(page):
    ours = page.source[: page.source.rindex("<script>")]
    assert "http:" not in ours
    assert "https:" not in ours
    for element in page.elements:
        for name in ("src", "srcset", "action", "formaction", "data", "poster", "background"):
            assert name not in element["attrs"], element
        assert element["attrs"].get("href", "#").startswith("#")
        assert element["tag"] not in {"link", "iframe", "object", "embed", "base", "form"}


def test_policy_names_the_scripts_and_nothing_else(page):
    (policy,) = [
        e["attrs"]["content"]
        for e in page.all("meta")
        if e["attrs"].get("http-equiv") == "Content-Security-Policy"
    ]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data: blob:"
    assert "unsafe" not in policy

    def hashes(tag):
        found = re.findall(f"<{tag}>(.*?)</{tag}>", page.source, re.S)
        digests = [hashlib.sha256(code.encode()).digest() for code in found]
        return [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]

    assert rules["script-src"].split() == hashes("script")
    assert len(hashes("script")) == 2
    assert rules["style-src"].split()[0] == hashes("style")[0]


def test_no_event_handlers_and_no_inline_styles(page, hostile):
    for element in (*page.elements, *hostile.elements):
        assert not [a for a in element["attrs"] if a.startswith("on") or a == "style"]


# --- structure ----------------------------------------------------------------------------------


def test_every_chart_has_its_table(page, given):
    charts = json.loads(page.id("charts")["text"])
    assert [c["id"] for c in charts] == ["curves", "comparisons", "qq2", "savings3", "savings4"]
    order = [
        e["attrs"]["id"] if "chart" in e["attrs"].get("class", "").split() else "table"
        for e in page.elements
        if "chart" in e["attrs"].get("class", "").split() or e["tag"] == "table"
    ]
    for chart in charts:
        assert order[order.index(f"chart-{chart['id']}") + 1] == "table"
        assert page.id(f"chart-{chart['id']}")["attrs"]["role"] == "img"
        assert page.id(f"chart-{chart['id']}")["attrs"]["aria-label"]


def test_tables_are_labelled(page):
    tables = page.all("table")
    assert len(tables) == len(page.all("caption"))
    assert all(e["attrs"].get("scope") in ("col", "row") for e in page.all("th"))
    assert all(e["text"].strip() for e in page.all("caption"))


def test_ids_are_unique_and_references_lead_somewhere(page):
    ids = [e["attrs"]["id"] for e in page.elements if "id" in e["attrs"]]
    assert len(ids) == len(set(ids))
    for element in page.elements:
        for name in ("aria-labelledby", "aria-describedby"):
            assert element["attrs"].get(name, ids[0]) in ids
        assert element["attrs"].get("href", f"#{ids[0]}")[1:] in ids


def test_landmarks_and_controls(page, given):
    for tag in ("header", "nav", "main", "footer", "title", "h1", "noscript"):
        assert len(page.all(tag)) == 1, tag
    assert page.all("html")[0]["attrs"]["lang"] == "en"
    first_link = page.all("a")[0]["attrs"]
    assert (first_link["class"], first_link["href"]) == ("skip", "#main")
    boxes = [e for e in page.all("input") if e["attrs"]["type"] == "checkbox"]
    assert len(boxes) == len(given["curves"])  # one pair needs no box
    assert all("label" in e["parents"] for e in page.all("input"))
    assert all(e["attrs"]["type"] == "button" for e in page.all("button"))
    levels = [int(e["tag"][1]) for e in page.elements if re.fullmatch("h[1-6]", e["tag"])]
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))


def test_numbers_are_those_of_the_results(page, given):
    text = page.id("curves")["text"]
    for name, c in given["curves"].items():
        value, low, high = c.at(8)
        assert f"{value:.2f} [{low:.2f}, {high:.2f}]" in text
        value, low, high = given["extrapolations"][name].at(128)
        assert f"{value:.2f} [{low:.2f}, {high:.2f}] extrapolated" in text
    (pair,) = given["comparisons"].values()
    assert pair.message in page.id("comparisons")["text"]
    diagnosis = given["diagnoses"]["start"]
    text = page.id("diagnostics")["text"]
    assert diagnosis.recommendation.recommended in text
    assert set(diagnosis.findings) >= {"kind", "qq", "tail", "length", "ranking"}
    for finding in diagnosis.findings.values():
        assert finding.text in text
        for row in finding.table.rows if finding.table else ():
            assert str(row[0]) in text


def test_chart_holds_the_curve(page, given):
    chart = json.loads(page.id("charts")["text"])[0]
    lines = [t for t in chart["traces"] if t["meta"]["role"] == "line"]
    for line, (name, c) in zip(lines, given["curves"].items(), strict=True):
        assert line["name"] == name
        assert line["x"] == c.ks.tolist()
        assert line["y"] == pytest.approx(c.value.tolist())
    beyond = [t for t in chart["traces"] if t["meta"]["role"] == "line beyond"]
    assert [t["line"]["dash"] for t in lines + beyond] == ["solid", "solid", "dash", "dash"]
    assert [t["x"] for t in beyond] == [[32, 128, 256]] * 2  # joined to the last measured k
    rings = [t for t in chart["traces"] if t["meta"]["role"] == "ring"]
    assert [t["x"] for t in rings] == [[128], [128]]


def test_same_input_same_page(given, page, tmp_path):
    again = write(tmp_path / "again.html", given).read_bytes()
    assert again == page.source.encode()
    undated = dict(given, settings={"seed": 0})
    one, two = (write(tmp_path / f"{i}.html", undated).read_text("utf-8") for i in range(2))
    date = r"<code>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00</code>"
    assert len(re.findall(date, one)) == 1
    assert re.sub(date, "", one) == re.sub(date, "", two)


def test_writing_leaves_one_file(given, tmp_path):
    path = write(tmp_path / "new" / "report.html", given)
    path = write(path, given)
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]
    assert path.stat().st_size < 6e6


def test_bad_targets_and_missing_curves(given, tmp_path):
    with pytest.raises(IsADirectoryError, match=r"name the file to write"):
        write(tmp_path, given)
    with pytest.raises(ValueError, match=r"no curve for 'tea'"):
        write(tmp_path / "r.html", given | {"curves": {"start": given["curves"]["start"]}})
    assert list(tmp_path.iterdir()) == []


def test_a_source_without_completions_or_company(tmp_path):
    rewards = as_rollouts(np.random.default_rng(0).normal(size=(4, 8)))
    path = report.write_report(
        tmp_path / "r.html", {"one": rewards}, curves={"one": curve(rewards)}, settings={}
    )
    page = Page(path)
    assert "hold no completions" in page.id("completions")["text"]
    assert "is not known from these rollouts" in page.all("header")[0]["text"]
    assert [c["id"] for c in json.loads(page.id("charts")["text"])] == ["curves"]


# --- text from files ----------------------------------------------------------------------------


def test_hostile_text_stays_text(page, hostile):
    expected = {e["tag"] for e in page.elements} | {"details", "summary"}
    assert {e["tag"] for e in hostile.elements} <= expected
    assert len(hostile.all("script")) == len(page.all("script"))
    for name, attack in ATTACKS.items():
        section = {"prompt": "completions", "completion": "completions"}.get(name, "settings")
        assert parts.clean(attack) in hostile.id(section)["text"], name
    assert ATTACK in hostile.id("settings")["text"]


def test_hostile_names_in_charts(hostile):
    for chart in json.loads(hostile.id("charts")["text"]):
        for trace in chart["traces"]:
            assert "<" not in trace["name"]
            assert "%{" not in trace["name"]
            for line in trace.get("text", []):
                tags = set(re.findall(r"<[^>]*>", line))
                assert tags <= {"<b>", "</b>", "<br>"}
                if not chart["id"].startswith("savings"):  # of one model, which it does not name
                    assert "&lt;script&gt;" in line or "plain" in line


@examples_of(st.text())
def test_every_text_survives_its_door(value):
    assert html.unescape(parts.text(value)) == parts.clean(value)
    assert not set(parts.text(value)) & set("<>\"'\x00")
    assert not set(parts.label(value)) & set("<>\n\u202e")
    block = parts.json_block({"a": value})
    assert json.loads(block) == {"a": value}
    assert block.isascii()
    assert not set(block) & set("<>&")
    parts.clean(value).encode()  # no lone surrogates


def test_long_text_is_clipped_and_whole():
    long = "word " * 1000 + "<end>"
    shown = parts.clipped(long)
    start, _, rest = shown.partition("<details>")
    assert len(start) < 500
    assert "Show all 5,005 characters" in rest
    assert "&lt;end&gt;" in rest
    assert "<details>" not in parts.clipped("short")


# --- words and numbers --------------------------------------------------------------------------


def test_the_finding_says_how_it_is_known(given):
    c, e = given["curves"]["tea"], given["extrapolations"]["tea"]
    numbers = parts.Numbers([0.0, 3.0])

    def said(n, beyond=e):
        return sentence(outcome("tea", c, beyond, n), n, numbers)

    assert f"best of 16 is <strong>{c.at(16)[0]:.2f}</strong> (95 % interval [" in said(16)
    assert said(16).endswith("measured.")
    assert f"best of 128 is <strong>{e.at(128)[0]:.2f}</strong>" in said(128)
    for verdict, words in (("holds", "no check"), ("doubtful", "guess"), ("unknown", "could not")):
        assert words in said(128, replace(e, verdict=verdict))
    assert "no point at 17; best of 16 is" in said(17)
    assert "best of 512 is not known" in said(512)
    refused = replace(
        e, verdict="fails", message="the rewards are <binary>", value=e.value * np.nan
    )
    assert "cannot be extrapolated" in said(128, refused)
    assert "the rewards are &lt;binary&gt;" in curve_lines({"tea": c}, {"tea": refused})
    assert "best of 32 is" in said(128, refused)


def test_decimals_follow_the_spread():
    assert parts.Numbers([0.10, 3.0])(1.2345) == "1.23"
    assert parts.Numbers([0.010, 0.012])(0.0112345) == "0.01123"
    assert parts.Numbers([0.0, 40000.0])(12345.6) == "12,346"
    assert parts.Numbers([2.0])(2.0) == "2.00"
    assert parts.Numbers([])(float("nan")) == "–"
    assert parts.Numbers([0.0, 1.0]).interval(float("nan"), 1.0) == ""


# --- colours ------------------------------------------------------------------------------------


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(a, b):
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_in_both_themes():
    """AA: 4.5 for text, 3 for lines, markers and the edges of controls."""
    css = (Path(report.__file__).parent / "page.css").read_text(encoding="utf-8")
    pairs = re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", css)
    assert len(pairs) == 18
    for theme in (0, 1):
        colours = {name: values[theme] for name, *values in pairs}
        for name, colour in colours.items():
            if name in ("ink", "muted"):
                least = min(contrast(colour, colours[b]) for b in ("page", "surface"))
                assert least >= 4.5, (name, theme)
            elif name in ("accent", "good", "warn", "bad"):
                assert contrast(colour, colours["page"]) >= 4.5, (name, theme)
            elif name.startswith("series") or name == "control":
                assert contrast(colour, colours["page"]) >= 3, (name, theme)


def test_49_models_look_different():
    looks = styles([f"m{i}" for i in range(49)]).values()
    assert len({(s.colour, s.symbol) for s in looks}) == 49
    assert {s.symbol for s in looks} == set(SYMBOLS)
