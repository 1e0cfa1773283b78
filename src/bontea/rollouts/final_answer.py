r"""The final answer of a response, in a form in which equal answers are equal texts.

A vote counts how often each answer was given, so that "\boxed{1/2}", "The answer is 0.5." and
"0.50" must be one answer. `final_answer` finds the answer of a response and writes it in one form;
None where it finds none. It is for numbers and multiple choice; for anything else (code,
expressions, free text) a function of the user's does better (`answer_function`).

Where it looks, first match first, after the last `</think>`:

1. the last `\boxed{...}` or `\fbox{...}`;
2. the last line with `####` (GSM8K), or the last "answer is ..." or "answer: ...";
3. the last line, if it is nothing but a number or a choice.

What it takes for equal: 1,000 = 1000 = 1e3; 0.5 = .50 = 1/2 = \frac{1}{2}; 2 1/2 = 2.5; (B) = B =
B) = "B. Paris"; 5 = "x = 5" = $5 = 5 % = 5 apples (a unit of one or two words after a number is
left out: a question asks for one); any other text without regard to spaces and capitals. It does no
algebra: x+1 and 1+x differ.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import TypeAlias

from bontea._errors import BonteaError
from bontea._ids import id_text
from bontea._load import load_function

AnswerFunction: TypeAlias = Callable[[str], str | None]
"""From the text of a response to its answer; None where there is none."""

_BOX = re.compile(r"\\(?:boxed|fbox)\s*(?=\{)|\\boxed\s+(?=[^\s{])")
_BRACES = re.compile(r"\\.|[{}]", re.DOTALL)
_STATED = re.compile(
    r"\banswers?\b(?:\s+to\s+[^.:\n]{1,80}?)?\s*(?:is|are|[:=])\s*:?[ \t]*\n?[ \t]*(?=\S)"
    r"|####[ \t]*(?=\S)",
    re.IGNORECASE,
)
_SENTENCE_ENDS = re.compile(r"[.!?;](?=\s|$)|,\s+(?=[A-Za-z])")
_CHOICE = re.compile(
    r"(?:(?:option|choice)\s+)?(?:"
    r"\((?P<round>[A-Ja-j])\)|\[(?P<square>[A-J])\]|(?P<plain>[A-J])(?=$|[.):]))[.):]*(?:\s.*)?",
    re.DOTALL,
)
_DIGITS = r"(?:\d{1,3}(?:,\d{3})+|\d+)"
_NUMBER = re.compile(
    rf"(?P<sign>[-+]?)(?P<digits>{_DIGITS}(?:\.\d*)?|\.\d+)(?:e(?P<power>[-+]?\d+))?", re.IGNORECASE
)
_FRACTION = re.compile(
    rf"(?P<sign>[-+]?)\s*(?:(?P<whole>{_DIGITS})\s+)?(?P<over>{_DIGITS})/(?P<under>{_DIGITS})"
)
_LATEX_FRACTION = re.compile(r"\\[dt]?frac\s*(?:\{([^{}]*)\}|(\d))\s*(?:\{([^{}]*)\}|(\d))")
_LATEX_POWER = re.compile(
    r"(?:\\times|\\cdot|[x*×·])\s*10\s*\^\s*(?:\{\s*([-+]?\d+)\s*\}|([-+]?\d+))"
)
_LATEX_TEXT = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mbox)\s*\{([^{}]*)\}")
_LATEX_NOTHING = re.compile(r"\\(?:left|right|displaystyle)(?![a-z])|\\[,;:!()\[\] ]|\$|\*\*|~")
_NAMED = re.compile(r"[A-Za-z]{1,2}\s*=\s*(?P<what>[^=]+)")
_UNIT = re.compile(r"(?P<number>.*\d)\s+(?P<unit>[A-Za-z]{2,}\.?(?:\s+[A-Za-z]+)?)")
_COUNTS = {
    "hundred",
    "thousand",
    "million",
    "billion",
    "trillion",
    "dozen",
    "or",
    "and",
    "to",
    "pi",
}
"""Words after a number that are no unit, but make it another number."""
_MOST_DIGITS = 300
"""Of a number. Longer ones, and 1e999999999, stay text: nobody counts with them."""


def final_answer(text: str) -> str | None:
    r"""The answer of a response in one form; None where none is found.

    >>> [final_answer(text) for text in ("So \\boxed{1/2}", "The answer is 0.50.", "#### 1,000")]
    ['1/2', '1/2', '1000']
    >>> [final_answer(text) for text in ("1e3", "Answer: (B)", "I do not know", "\\boxed{x + 1}")]
    ['1000', 'B', None, 'x+1']
    """
    text = text.rpartition("</think>")[2]
    if "<think>" in text:
        return None  # cut off while it was thinking
    boxed = _last_box(text)
    if boxed is not None:
        return written(boxed)
    stated = [found.end() for found in _STATED.finditer(text)]
    if stated:
        line = text[stated[-1] :].split("\n", 1)[0]
        return written(_SENTENCE_ENDS.split(line, maxsplit=1)[0])
    lines = text.split("\n")
    last = next((line for line in reversed(lines) if line.strip()), "")
    plain = _plain(last)
    return _choice(plain) or _number(plain)


def written(answer: str) -> str | None:
    r"""An answer that has been found, in one form; None for an empty one.

    >>> [written(answer) for answer in ("\\frac12", "$1{,}000$", "x = 5", "12 apples", "Paris.")]
    ['1/2', '1000', '5', '12', 'paris']
    """
    plain = _plain(answer)
    named = _NAMED.fullmatch(plain)
    if named:
        plain = named["what"].strip()
    # "1 2" is not 12: a space between digits stays.
    text = re.sub(r"(?<!\d)\s+|\s+(?!\d)", "", re.sub(r"\s+", " ", plain)).lower()
    return _choice(plain) or _number(plain) or text or None


def answer_function(given: str | Callable[[str], object] | None) -> AnswerFunction:
    """`final_answer` for None; otherwise the user's function, or `module:function`, made safe.

    It gets the text of a response and returns its answer, as text or a number, or None (NaN, "")
    where there is none. Raises BonteaError where there is no such function; calling the result
    raises it where the function raises, naming the response.
    """
    if given is None:
        return final_answer
    function = load_function(given, "normaliser") if isinstance(given, str) else given
    name = given if isinstance(given, str) else getattr(given, "__name__", "the normaliser")

    def answer(text: str) -> str | None:
        try:
            return id_text(function(text)) or None
        except Exception as error:
            raise BonteaError(
                f"{name} raised {type(error).__name__}: {error} for {text[:60]!r}: let it return "
                "None for a response without an answer"
            ) from error

    return answer


def _last_box(text: str) -> str | None:
    r"""What is inside the last whole `\boxed{...}`."""
    starts = {found.end() for found in _BOX.finditer(text)}
    if not starts:
        return None
    last = max(starts)
    if text[last] != "{":  # \boxed 5
        return text[last:].split()[0].rstrip("$.")
    whole: tuple[int, int] | None = None
    opened: list[int] = []
    for found in _BRACES.finditer(text, min(starts)):
        if found[0] == "{":
            opened.append(found.start())
        elif found[0] == "}" and opened and (start := opened.pop()) in starts:
            whole = max(whole or (start, 0), (start, found.start()))
    return None if whole is None else text[whole[0] + 1 : whole[1]]


def _plain(answer: str) -> str:
    """Without what only sets it: dollars, bold type, spaces of LaTeX, a full stop."""
    answer = answer.replace("\\$", "").replace("{,}", ",").replace("−", "-").replace("\\%", "%")
    answer = _LATEX_NOTHING.sub("", _LATEX_TEXT.sub(r" \1 ", answer))
    answer = re.sub(r"\^\s*(?:\\circ|\{\s*\\circ\s*\})|\\degree|°", "", answer)
    answer = _LATEX_FRACTION.sub(
        lambda f: f" {(f[1] or f[2] or '').strip()}/{(f[3] or f[4] or '').strip()}", answer
    )
    answer = _LATEX_POWER.sub(lambda f: f"e{f[1] or f[2]}", answer)
    return answer.strip().strip("*_`\"'").rstrip(".!?,;:").strip()


def _choice(answer: str) -> str | None:
    found = _CHOICE.fullmatch(answer)
    return None if found is None else str(found[found.lastgroup or 0]).upper()


def _number(answer: str) -> str | None:
    """A number as the shortest fraction; None for what is none."""
    answer = re.sub(r"^([-+]?)\s*[$€£¥]\s*", r"\1", answer).removesuffix("%").strip()
    answer = re.sub(r"\s*/\s*|\s+(?=e[-+]?\d)", lambda f: f[0].strip(), answer)
    value = _value(answer)
    found = _UNIT.fullmatch(answer) if value is None else None
    if found and not _COUNTS & set(found["unit"].lower().split()):
        value = _value(found["number"].strip())
    return None if value is None else str(value)


def _value(text: str) -> Fraction | None:
    if len(text) > _MOST_DIGITS:
        return None
    if found := _FRACTION.fullmatch(text):
        parts = (found[name] for name in ("whole", "over", "under"))
        whole, over, under = (int((part or "0").replace(",", "")) for part in parts)
        sign = -1 if found["sign"] == "-" else 1
        return None if under == 0 else sign * (whole + Fraction(over, under))
    if not (found := _NUMBER.fullmatch(text)) or abs(int(found["power"] or 0)) > _MOST_DIGITS:
        return None
    return Fraction(Decimal(text.replace(",", "")))
