"""The sources that a piece of compiled code depends on: some files, and those that they import. Needs no TVM.

Imports are found by their lines of text, which is quick enough for every start: parsing takes ten times as long.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import sys
from collections.abc import Iterable
from os.path import dirname, isfile, join
from pathlib import Path

HERE = dirname(__file__)
# No `^` before it: an expression that begins with plain text is looked for quickly.
IMPORT = re.compile(rf"from (\.+|{__package__}\.?)([\w.]*) import (\([^)]*\)|[^\n(]*)")
# These keep compiled code, and do not change it.
KEEPERS = frozenset(join(HERE, name) for name in ("cache.py", "cache_directory.py", "library.py", "parts.py"))


def digest_of(paths: Iterable[Path]) -> str:
    """A digest of what files hold."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def digest(files: Iterable[str], nested: bool = False) -> str:
    """A digest of files and of all that they import.

    Args:
        nested: whether imports within functions count, too.
    """
    digest = hashlib.sha256()
    for file in sorted(reached(files, nested)):
        digest.update(_read(file)[0])
    return digest.hexdigest()


def reached(files: Iterable[str], nested: bool = False) -> set[str]:
    """The files, and those that they import, but for KEEPERS."""
    waiting, found = list(files), set()
    while waiting:
        file = waiting.pop()
        if file not in found and file not in KEEPERS:
            found.add(file)
            waiting += [other for other, is_nested in _read(file)[1] if nested or not is_nested]
    return found


def files_of(kind: type) -> set[str]:
    """The files in which a class and its bases are defined."""
    modules = {base.__module__ for base in kind.__mro__} - {"builtins", "typing", "abc"}
    files = {getattr(sys.modules.get(module), "__file__", None) for module in modules}
    return {file for file in files if file and file.endswith(".py") and isfile(file)}


def files_beside(kind: type) -> set[str]:
    """The files of the folders in which a class and its bases are defined."""
    folders = {dirname(file) for file in files_of(kind)}
    return {join(folder, name) for folder in folders for name in os.listdir(folder) if name.endswith(".py")}


@functools.cache
def _read(file: str) -> tuple[bytes, list[tuple[str, bool]]]:
    """The digest of a file, and the files of this and its own package that it imports: whether within a function."""
    with open(file, "rb") as source:
        content = source.read()
    text, imported = content.decode(), []
    for match in IMPORT.finditer(text):
        line = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
        if not line.strip():
            imported += [(other, bool(line)) for other in _imported(file, *match.groups())]
    return hashlib.sha256(content).digest(), imported


def _imported(file: str, dots: str, module: str, names: str) -> set[str]:
    """The files that one line imports."""
    base = HERE
    if dots.startswith("."):
        for _ in dots:
            file = dirname(file)
        base = file
    base = join(base, *module.split("."))
    if other := _file(base + ".py"):
        return {other}
    # a package, or modules of one
    names = re.sub(r"#.*| as \w+", "", names)
    found = [
        _file(join(base, f"{name}.py")) or _file(join(base, name, "__init__.py")) for name in re.findall(r"\w+", names)
    ]
    return {other for other in (file or _file(join(base, "__init__.py")) for file in found) if other}


@functools.cache
def _file(path: str) -> str | None:
    return path if isfile(path) else None
