"""The modules of the package that import without a framework, and what is public in them."""

import importlib
import inspect
import pkgutil
import re
from dataclasses import is_dataclass

import bontea

# Adapters, probes and training jobs need the frameworks they are for; `__main__` runs.
FRAMEWORKS = re.compile(r"bontea\.(integrations|cli\.probes|training|demo|__main__)\b")
NAMES = sorted(
    module.name
    for module in pkgutil.walk_packages(bontea.__path__, "bontea.")
    if not FRAMEWORKS.match(module.name)
)


def modules():
    """Every module, imported."""
    return [importlib.import_module(name) for name in NAMES]


def public(kind):
    """`(module, name, object)` of what a module defines under a public name, of a kind."""
    for module in modules():
        for name, value in vars(module).items():
            if not name.startswith("_") and kind(value) and value.__module__ == module.__name__:
                yield module, name, value


def functions():
    """Public functions and public methods: `(dotted name, function)`."""
    for module, name, function in public(inspect.isfunction):
        yield f"{module.__name__}.{name}", function
    for module, name, cls in public(inspect.isclass):
        for key, value in vars(cls).items():
            function = getattr(value, "__func__", value)
            if inspect.isfunction(function) and (key == "__init__" or not key.startswith("_")):
                yield f"{module.__name__}.{name}.{key}", function


def dataclasses():
    """Public dataclasses by name."""
    return {name: cls for _, name, cls in public(is_dataclass)}


def returned():
    """Public frozen dataclasses that a public function returns, by name: the results."""
    known = {name: cls for name, cls in dataclasses().items() if cls.__dataclass_params__.frozen}
    out = {}
    for _, function in functions():
        for word in re.findall(r"\w+", str(function.__annotations__.get("return", ""))):
            if word in known:
                out[word] = known[word]
    return out
