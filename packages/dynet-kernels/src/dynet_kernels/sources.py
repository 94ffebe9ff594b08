"""Finds the source files that compiled code depends on: given files, and all that they import. Needs no TVM.

A digest of these files is part of the key under which the code is cached. A regular expression finds the imports. This
is quick enough for every start of a program, while parsing the files would take ten times as long.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import sys
from collections.abc import Iterable
from os.path import dirname, isfile, join

HERE = dirname(__file__)
# An import statement. The expression does not begin with `^`, because Python searches faster for one that begins with
# plain text. So `_read` checks what comes before it in the line.
IMPORT = re.compile(rf"from (\.+|{__package__}\.?)([\w.]*) import (\([^)]*\)|[^\n(]*)")
# These files load and store compiled code but do not affect it, so digests leave them out.
KEEPERS = frozenset(join(HERE, name) for name in ("cache.py", "cache_directory.py", "library.py", "parts.py"))


def digest(files: Iterable[str], nested: bool = False) -> str:
    """Return a digest of the contents of files and of all files of this library that they import.

    Args:
        files: paths.
        nested: whether imports within functions count, too.
    """
    digest = hashlib.sha256()
    for file in sorted(reached(files, nested)):
        digest.update(_read(file)[0])
    return digest.hexdigest()


def reached(files: Iterable[str], nested: bool = False) -> set[str]:
    """Return the given files and all that they import, directly or not, except KEEPERS. `nested` as in `digest`."""
    waiting, found = list(files), set()
    while waiting:
        file = waiting.pop()
        if file not in found and file not in KEEPERS:
            found.add(file)
            waiting += [other for other, is_nested in _read(file)[1] if nested or not is_nested]
    return found


def files_of(kind: type) -> set[str]:
    """Return the Python files that define a class and its base classes. `builtins`, `typing` and `abc` do not count."""
    modules = {base.__module__ for base in kind.__mro__} - {"builtins", "typing", "abc"}
    files = {getattr(sys.modules.get(module), "__file__", None) for module in modules}
    return {file for file in files if file and file.endswith(".py") and isfile(file)}


def files_beside(kind: type) -> set[str]:
    """Return all Python files in the folders that contain the definitions of a class and of its base classes."""
    folders = {dirname(file) for file in files_of(kind)}
    return {join(folder, name) for folder in folders for name in os.listdir(folder) if name.endswith(".py")}


@functools.cache
def _read(file: str) -> tuple[bytes, list[tuple[str, bool]]]:
    """Return the digest of a file, and for each file that it imports: (path, whether the import is in a function).

    Only relative imports and imports from this package are found, of the form `from ... import ...`.
    """
    with open(file, "rb") as source:
        content = source.read()
    text, imported = content.decode(), []
    for match in IMPORT.finditer(text):
        line = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
        if not line.strip():
            imported += [(other, bool(line)) for other in _imported(file, *match.groups())]
    return hashlib.sha256(content).digest(), imported


def _imported(file: str, dots: str, module: str, names: str) -> set[str]:
    """Return the files that the statement `from {dots}{module} import {names}` in `file` imports."""
    base = HERE
    if dots.startswith("."):
        for _ in dots:
            file = dirname(file)
        base = file
    base = join(base, *module.split("."))
    if other := _file(base + ".py"):
        return {other}
    # `module` is a package. A name is a module of the package, or is defined in its __init__.py.
    names = re.sub(r"#.*| as \w+", "", names)
    found = [
        _file(join(base, f"{name}.py")) or _file(join(base, name, "__init__.py")) for name in re.findall(r"\w+", names)
    ]
    return {other for other in (file or _file(join(base, "__init__.py")) for file in found) if other}


@functools.cache
def _file(path: str) -> str | None:
    return path if isfile(path) else None
