"""Functions named as `module:function`: estimators and rewards of the user."""

from __future__ import annotations

import importlib
import operator
import sys
from pathlib import Path
from typing import Any

from bontea._errors import BonteaError


def load_function(text: str, what: str) -> Any:
    """The function that `text` names, looked up on the Python path and in the working folder.

    `what` it is stands in messages, such as `"reward"`. Raises BonteaError saying what is missing;
    an error inside the module itself is raised as it is.

    >>> load_function("math:sqrt", "reward")(4)
    2.0
    """
    module, _, name = text.partition(":")
    if not all((*module.split("."), *name.split("."))):
        raise BonteaError(f"{what} {text!r} must be MODULE:FUNCTION")
    if module.endswith(".py") or "/" in module or "\\" in module:
        stem = Path(module.replace("\\", "/")).stem
        raise BonteaError(
            f"{what} {text!r} names a file, and a module is wanted: write {stem}:{name}, with the "
            "folder of the file on the Python path (or go into it)"
        )
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        loaded = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.split(".")[0] and not module.startswith(f"{error.name}."):
            raise  # the module is there; something it imports is not
        raise BonteaError(
            f"{what} {text!r}: there is no module {module!r} on the Python path or in this folder"
        ) from None
    except OSError as error:  # which a command would take for a file that it was given
        raise RuntimeError(f"{what} {text!r}: importing {module} failed: {error}") from error
    finally:
        if folder in sys.path:
            sys.path.remove(folder)
    try:
        function = operator.attrgetter(name)(loaded)
    except AttributeError:
        raise BonteaError(f"{what} {text!r}: module {module} has no {name!r}") from None
    if not callable(function):
        raise BonteaError(f"{what} {text!r} is a {type(function).__name__}, not a function")
    return function
