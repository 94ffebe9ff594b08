"""The reference: which public name stands on which page.

A page has a line such as `<!-- names of dynet_ops.loss -->` or `<!-- names: save load -->`, and gets in its place what
autodoc makes of the docstrings, with a line from the table of operations. Each public name stands on one page.
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import dynet
import dynet_ops
from dynet_core.op import OPS, Op

if TYPE_CHECKING:
    from sphinx.application import Sphinx

OF_PACKAGE = re.compile(r"^<!-- names of ([\w.]+) -->$", re.MULTILINE)
LISTED = re.compile(r"^<!-- names: ([\w \n]+?) -->$", re.MULTILINE)
MODULES = ("np", "os", "pickle", "sys")
"""Modules that programs for DyNet take from `from dynet import *`; the page of the configuration names them."""


def modules_of(package: str) -> dict[str, list[str]]:
    """Return the operations of a package of dynet_ops, by the module that defines them."""
    found: dict[str, list[str]] = {}
    for name in dynet_ops.__all__:
        module = getattr(dynet_ops, name).__module__
        if f"{module}.".startswith(f"{package}."):
            found.setdefault(module, []).append(name)
    return dict(sorted(found.items()))


def names_on(text: str) -> list[str]:
    """Return the public names that a page documents."""
    found = [name for match in LISTED.finditer(text) for name in match[1].split()]
    for match in OF_PACKAGE.finditer(text):
        found += [name for names in modules_of(match[1]).values() for name in names]
    return found


def facts(op: Op) -> str:
    """Return what the table of operations says about one."""
    says = []
    if op.random:
        says.append("random: each pass draws other numbers")
    if op.samples[0].shapes and not op.differentiable:
        says.append("no gradient")
    return f"*{'; '.join(says).capitalize()}.*" if says else ""


def directive(name: str) -> str:
    """Return the text that documents a name."""
    subject = getattr(dynet, name)
    if name == "dynet_config":
        return block(".. automodule:: dynet_config\n   :members:")
    if name == "HAVE_CUDA":
        return block(
            ".. py:data:: HAVE_CUDA\n   :module: dynet\n   :type: bool\n\n   Whether this machine has a GPU's driver."
        )
    if inspect.ismodule(subject):
        return block(f".. py:data:: {name}\n   :module: dynet\n\n   The module {subject.__name__}.")
    if not isinstance(subject, type):
        said = facts(OPS[name]) if name in OPS else ""
        return block(f".. autofunction:: dynet.{name}" + (f"\n\n   {said}" if said else ""))
    lines = [f".. autoclass:: dynet.{name}", "   :members:"]
    bases = [base.__name__ for base in subject.__mro__[1:] if base.__name__ in dynet._PUBLIC]
    if issubclass(subject, BaseException) or subject.__base__.__name__ in bases:
        lines.append("   :show-inheritance:")
    if not issubclass(subject, BaseException):
        lines.append(f"   :inherited-members: {bases[0] if bases else 'object'}")
    return block("\n".join(lines))


def block(text: str) -> str:
    return f"````{{eval-rst}}\n{text}\n````\n"


def expanded(text: str) -> str:
    """Return a page with its names documented."""

    def of_package(match: re.Match[str]) -> str:
        parts = []
        for module, names in modules_of(match[1]).items():
            title = (sys.modules[module].__doc__ or module).splitlines()[0].rstrip(".")
            parts += [f"## {title}\n", *map(directive, names)]
        return "\n".join(parts)

    text = OF_PACKAGE.sub(of_package, text)
    return LISTED.sub(lambda match: "\n".join(map(directive, match[1].split())), text)


def pages(folder: Path) -> dict[str, list[str]]:
    """Return the public names on each page of the reference."""
    found = {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in folder.rglob("*.md")}
    return {name: names for name, text in sorted(found.items()) if (names := names_on(text))}


def on_read(app: Sphinx, name: str, content: list[str]) -> None:
    content[0] = expanded(content[0])


def on_end(app: Sphinx, error: Exception | None) -> None:
    from sphinx.errors import ExtensionError  # here, so that tests need no Sphinx

    if error is None and app.builder.format == "html":
        found = app.env.domains.python_domain.objects
        missing = [name for name in dynet._PUBLIC if f"dynet.{name}" not in found and name != "dynet_config"]
        if missing:
            raise ExtensionError(f"the reference does not have {', '.join(missing)}")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("source-read", on_read)
    app.connect("build-finished", on_end)
    return {"parallel_read_safe": True}
