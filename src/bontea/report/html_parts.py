"""Escaping, numbers and tables of the HTML report.

Whatever comes out of a file (prompts, completions, names of models, files and strata) is text that
somebody else chose. It enters the page through one of three doors, each for one place:

- `text`: between tags and inside quoted attributes;
- `label`: in Plotly's labels and hover text, where Plotly understands a few tags of its own;
- `json_block`: data inside a `<script type="application/json">` element.
"""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

# C0 and C1 controls but tab and newline, as visible pictures or a question mark: no byte of a
# completion is dropped silently, and none of them means anything to a parser or a terminal.
_CONTROLS = {i: 0x2400 + i for i in range(0x20) if i not in (0x09, 0x0A)}
_CONTROLS |= {0x7F: 0x2421} | dict.fromkeys(range(0x80, 0xA0), 0xFFFD)


_ENDLESS = re.compile(r"\S{500}(?=\S)")
_SURROGATES = re.compile("[\ud800-\udfff]")
# Marks that turn what follows them around, up to the end of the line if nothing ends them.
_TURNING = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def clean(value: Any) -> str:
    """Text that UTF-8 and HTML can hold: controls made visible, lone surrogates replaced.

    >>> clean("a\\x00b\\ud800")
    'a␀b�'
    """
    value = str(value).replace("\r\n", "\n").translate(_CONTROLS)
    return _SURROGATES.sub("\ufffd", value)


def text(value: Any) -> str:
    """Any value for a place between tags or in a quoted attribute.

    >>> text('<b title="x">')
    '&lt;b title=&quot;x&quot;&gt;'
    """
    return html.escape(clean(value), quote=True)


def name(value: Any) -> str:
    """A name in a sentence, isolated: right-to-left text in it leaves the sentence in order."""
    return f"<bdi>{text(value)}</bdi>"


def sentence(value: Any) -> str:
    """A sentence of ours with names in it that others chose: none of them turns it around.

    >>> sentence("tea \u202eis better")
    'tea is better'
    """
    return text(_TURNING.sub("", str(value)))


def label(value: Any, length: int = 30) -> str:
    """A name for Plotly, which reads tags and entities in its texts: short, and one line.

    >>> label("<b>tea</b>")
    '&lt;b&gt;tea&lt;/b&gt;'
    """
    # They would turn the numbers after the name around; there is no <bdi> in an SVG.
    line = _TURNING.sub("", " ".join(clean(value).split()))
    if len(line) > length:
        line = line[: length - 1] + "…"
    # `%{meta...}` would be filled in.
    return html.escape(line, quote=False).replace("%{", "%&#123;")


def json_block(data: Any) -> str:
    """JSON that neither ends a script element nor opens a comment in it; ASCII only.

    >>> json_block("</script><!--\\u2028")
    '"\\\\u003c/script\\\\u003e\\\\u003c!--\\\\u2028"'
    """
    out = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        out = out.replace(character, f"\\u{ord(character):04x}")
    return out


class Numbers:
    """Rewards of one report, all with as many decimals as their spread deserves.

    >>> Numbers([0.1, 2.07])(1.2345), Numbers([100.0, 900.0])(1234.5)
    ('1.23', '1,234')
    """

    def __init__(self, values: Iterable[float]) -> None:
        finite = [v for v in values if math.isfinite(v)]
        spread = max(finite) - min(finite) if finite else 0.0
        spread = spread or max(map(abs, finite), default=0.0) or 1.0
        self.decimals = int(np.clip(2 - math.floor(math.log10(spread)), 0, 8))

    def __call__(self, value: float, *, sign: bool = False) -> str:
        if not math.isfinite(value):
            return "–"
        return f"{value:{'+' if sign else ''},.{self.decimals}f}"

    def interval(self, low: float, high: float, *, sign: bool = False) -> str:
        """`[low, high]`, or nothing where there is none."""
        if not (math.isfinite(low) and math.isfinite(high)):
            return ""
        return f"[{self(low, sign=sign)}, {self(high, sign=sign)}]"

    def with_interval(self, value: float, low: float, high: float, *, sign: bool = False) -> str:
        """`value [low, high]`."""
        return f"{self(value, sign=sign)} {self.interval(low, high, sign=sign)}".strip()


def table(
    caption: str, header: Sequence[str], rows: Iterable[Sequence[str]], *, kind: str = "numbers"
) -> str:
    """A table whose first column names the rows; all arguments are HTML. Scrolls inside its box."""
    head = "".join(f'<th scope="col">{cell}</th>' for cell in header)
    body = "".join(
        f'<tr><th scope="row">{first}</th>' + "".join(f"<td>{c}</td>" for c in rest) + "</tr>\n"
        for first, *rest in rows
    )
    return (
        # A box that scrolls takes the focus, or the keyboard could not scroll it; the page's script
        # takes it from those that have nothing to scroll.
        f'<div class="scroll" role="group" aria-label="Table, may scroll" tabindex="0">\n'
        f'<table class="{kind}"><caption><span>{caption}</span></caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>\n"
    )


MARKS = {
    "holds": "✓",
    "ok": "✓",
    "doubtful": "?",
    "unknown": "?",
    "look": "?",
    "fails": "✗",
    "refused": "✗",
    "stop": "✗",
    "not measured": "–",
}


def status(word: str) -> str:
    """A status as a word with a mark and a colour."""
    mark = MARKS.get(word, "?")
    colour = {"✓": "good", "?": "warn", "✗": "bad", "–": "none"}[mark]
    return (
        f'<span class="status {colour}"><span aria-hidden="true">{mark}</span> {text(word)}</span>'
    )


def _breakable(value: str) -> str:
    """Clean text with places to break in words without an end.

    Browsers take minutes for one of 100,000 letters: for every line they shape what is left again.
    """
    return "<wbr>".join(map(text, _ENDLESS.sub("\\g<0>\0", value).split("\0")))


def clipped(value: Any, length: int = 400, *, lines: int = 12, most: int = 200_000) -> str:
    """Text of any length in a box of its own; what is beyond `length` opens on demand.

    The box shows at most `lines` lines until then; of more than `most` characters the page holds
    the beginning and the end.
    """
    whole = clean(value)
    if len(whole) <= length and whole.count("\n") < lines:
        return f'<div class="text" dir="auto">{text(whole) or "<em>empty</em>"}</div>'
    start = "\n".join(whole[: length + 1].split("\n", lines)[:lines])
    if len(start) > length:
        start = start[:length]
        start = start.rsplit(maxsplit=1)[0] if " " in start.strip() else start
    summary = f"Show all {len(whole):,} characters"
    if len(whole) > most:
        half = most // 2
        summary = f"Show the first and the last {half:,} of {len(whole):,} characters"
        left_out = f"\n\n[{len(whole) - 2 * half:,} characters are left out here]\n\n"
        whole = whole[:half] + left_out + whole[-half:]
    return (
        f'<div class="text" dir="auto">{text(start)} …</div>'
        f"<details><summary>{summary}</summary>"
        '<div class="text whole scroll" role="group" aria-label="Whole text, may scroll" '
        f'tabindex="0" dir="auto">{_breakable(whole)}</div></details>'
    )
