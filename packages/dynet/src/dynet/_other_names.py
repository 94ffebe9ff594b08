"""Error messages for missing names such as `dy.relu` or `dy.Adam`, which suggest what to use instead.

If all packages are installed, names of other libraries are `StandIn` objects. With a function `__getattr__` in the
module `dynet`, CPython would read all its names at least 18 ns more slowly, about the time to record an operation.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn

from dynet import _installation
from dynet_core.messages.hints import HINTS, nearest_name


class StandIn:
    # A `StandIn` is the value in `dynet` of a name that only other libraries define, such as `relu`. Most uses raise an
    # AttributeError with a hint, but not comparisons, `bool` and `repr`, because tools use these on any object.
    # `hasattr(dy, "relu")` is true, but `dir(dy)` and `dy.__all__` do not have the name.

    __slots__ = ("_name", "_suggestion")

    def __init__(self, name: str, suggestion: str):
        self._name, self._suggestion = name, suggestion

    def _refuse(self, *arguments: Any, **named: Any) -> NoReturn:
        raise AttributeError(f"module 'dynet' has no attribute {self._name!r}: use {self._suggestion}")

    __call__ = __getitem__ = __iter__ = __reversed__ = __enter__ = __exit__ = _refuse
    __mro_entries__ = __instancecheck__ = __subclasscheck__ = _refuse  # base classes, `isinstance` and `issubclass`
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __neg__ = _refuse
    __or__ = __ror__ = __float__ = __int__ = __index__ = __format__ = _refuse

    @property
    def __doc__(self) -> str:  # type: ignore[override]  # what `help` and notebooks show
        return f"No attribute of dynet: use {self._suggestion}."

    def __getattr__(self, attribute: str) -> NoReturn:
        if attribute.startswith("__"):  # tools ask any object for these
            raise AttributeError(attribute)
        self._refuse()

    def __repr__(self) -> str:
        return f"<no attribute of dynet: use {self._suggestion}>"


def stand_ins(public_names: Iterable[str]) -> dict[str, StandIn]:
    """Return a dict: name of other libraries -> its `StandIn`, for each name that has a hint and is not public."""
    public_set = set(public_names)
    return {
        name: StandIn(name, suggestion)
        for name in {*HINTS["dy"], *HINTS["ops"]} - public_set
        if (suggestion := suggestion_for(name, public_set))
    }


def suggestion_for(name: str, public_names: set[str]) -> str:
    """Return what to use for a name of another library; "" if there is no hint. Hints name only `public_names` ops."""
    ops = ", ".join(f"dy.{op}" for op in HINTS["ops"].get(name, "").split() if op in public_names)
    return HINTS["dy"].get(name) or " or ".join(ops.rsplit(", ", 1))


def message(name: str, public_names: Iterable[str], version: str) -> str:
    """Return the message for a missing name, with a hint and the package that may have the name, if any."""
    public_set = set(public_names)
    suggestion = suggestion_for(name, public_set)
    if not suggestion and not name.startswith("_") and (similar := nearest_name(name, public_set)):
        suggestion = f"dy.{similar}"
    extra = _installation.guessed_extra(name)
    command = f'pip install "dynet-core[{extra}]=={version}"'
    package = f"; dynet-{extra} is not installed and may have it: {command}" if extra else ""
    return f"module 'dynet' has no attribute {name!r}{f': use {suggestion}' if suggestion else ''}{package}"
