"""Docstrings as autodoc needs them.

They are plain text with formulas such as `y = |x|`, and with names in single quotes of code. Here characters that have
a meaning in reStructuredText are escaped, and names of this library become links.
"""

import re

from sphinx.application import Sphinx

import dynet

SPAN = re.compile(r"(:[\w:]+:`[^`]*`|``.+?``|`[^`]+`)")
NAME = re.compile(r"(?:dy\.)?([A-Za-z_]\w*)((?:\.\w+)?)(\(.*\))?")


def code(span: str) -> str:
    """Return a piece of code between quotes, as a link if it is a public name."""
    if not span.startswith("`") or span.startswith("``"):
        return span
    text = span.strip("`")
    found = NAME.fullmatch(text)
    if found and found[1] in dynet._PUBLIC and not found[3]:
        return f":py:obj:`{text} <dynet.{found[1]}{found[2]}>`"
    return f"``{text}``"


def prose(line: str) -> str:
    """Escape what stands outside of code."""
    parts = SPAN.split(line)
    parts[::2] = [re.sub(r"\|", r"\\|", re.sub(r"\*", r"\\*", re.sub(r"_(?!\w)", r"\\_", part))) for part in parts[::2]]
    parts[1::2] = [code(part) for part in parts[1::2]]
    return "".join(parts)


def indentation(line: str) -> int:
    return len(line) - len(line.lstrip())


def converted(lines: list[str]) -> list[str]:
    """Return the lines of a docstring as reStructuredText. Examples, formulas and blocks of code stay as they are."""
    found: list[str] = []
    block = -1  # the indentation of the line that has begun a block of code or a directive
    example = False
    for line in lines:
        if block >= 0 and line.strip() and indentation(line) <= block:
            block = -1
        example = bool(line.strip()) and (example or line.lstrip().startswith(">>>"))
        if block >= 0 or example:
            found.append(line)
            continue
        if line.rstrip().endswith("::") or line.lstrip().startswith(".. "):
            block = indentation(line)
            found.append(line)
            continue
        found.append(prose(line))
    return found


def on_docstring(app: Sphinx, what: str, name: str, subject: object, options: object, lines: list[str]) -> None:
    lines[:] = converted(lines)
    if what == "property":
        lines.insert(0, "")  # napoleon takes what stands before a colon in the first line for a type


def on_signature(
    app: Sphinx, what: str, name: str, subject: object, options: object, arguments: str | None, result: str | None
) -> tuple[str | None, str | None]:
    """Show the names of types within others, as in `Iterable[Index]`."""

    def plain(text: str | None) -> str | None:
        return text and re.sub(r"TypeAliasForwardRef\('(\w+)'\)", r"\1", text)

    return plain(arguments), plain(result)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("autodoc-process-docstring", on_docstring, priority=400)  # before napoleon
    app.connect("autodoc-process-signature", on_signature)
    return {"parallel_read_safe": True}
