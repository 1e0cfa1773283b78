"""Estimators as written in settings: `tea`, `max_at_k(k=8)`, `mymodule:estimate(beta=2)`."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import Any

from bontea._errors import BonteaError


@dataclass(frozen=True)
class Arm:
    """One way to train: an estimator and its parameters, under the name the user wrote."""

    name: str
    estimator: str
    params: dict[str, Any]

    @property
    def folder(self) -> str:
        """The name as a folder name: `max_at_k(k=8)` becomes `max_at_k-k-8`."""
        return re.sub(r"[^\w.]+", "-", self.name).strip("-")


def parse_arm(text: str) -> Arm:
    """An arm from its text; ValueError shows the form.

    >>> parse_arm("max_at_k(k=8)")
    Arm(name='max_at_k(k=8)', estimator='max_at_k', params={'k': 8})
    """
    match = re.fullmatch(r"([\w.]+(?::\w+)?)\s*(?:\((.*)\))?", text.strip())
    problem = BonteaError(
        f"estimator {text!r}: write a name, and parameters in brackets if any, such as tea, "
        "max_at_k(k=8) or tea(alpha=0.5)"
    )
    if match is None:
        raise problem
    name, arguments = match.groups()
    try:
        call = ast.parse(f"f({arguments or ''})", mode="eval").body
        if not isinstance(call, ast.Call) or call.args:
            raise problem
        params = {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}
    except (SyntaxError, ValueError):
        raise problem from None
    return Arm(text.strip(), name, params)


def parse_arms(texts: list[str]) -> list[Arm]:
    """Arms from a list in which commas outside brackets separate too.

    >>> [arm.name for arm in parse_arms(["grpo,tea(alpha=0.5, center=False)", "rloo"])]
    ['grpo', 'tea(alpha=0.5, center=False)', 'rloo']
    """
    parts = [part for text in texts for part in re.split(r",(?![^()]*\))", text) if part.strip()]
    arms = [parse_arm(part) for part in parts]
    if not arms:
        raise BonteaError("no estimator given: name at least one, such as tea")
    folders = [arm.folder for arm in arms]
    for arm in arms:
        if folders.count(arm.folder) > 1 or arm.folder == "start":
            raise BonteaError(f"estimator {arm.name!r} is given twice, or is a reserved name")
    return arms
