"""The digest of the source files that emit code, on which cache keys depend. Needs no TVM.

It covers all of these files: after a change in any file, all code is emitted again, but only changed code is compiled.
"""

from __future__ import annotations

import functools
import hashlib
import os
import sys

PACKAGE_FOLDER = os.path.dirname(os.path.dirname(__file__))
# The digest omits these files and folders of this package, because they do not affect the emitted code.
OMITTED_PATHS = frozenset(
    os.path.join(PACKAGE_FOLDER, name)
    for name in "building.py cache tune __init__.py build.py description.py encode.py interpreter.py locks.py "
    "machine/library.py table.py tuning_records.py".split()
)


@functools.cache
def digest(classes: frozenset[type]) -> str:
    """Return a digest of this package's source files that emit code, and of the files of `classes` and their bases."""
    digest = hashlib.sha256()
    for file in sorted({*_emitting_files(PACKAGE_FOLDER), *(file for cls in classes for file in _files_defining(cls))}):
        digest.update(_digest_of(file))
    return digest.hexdigest()


@functools.cache
def _emitting_files(folder: str) -> list[str]:
    entries = [entry for entry in os.scandir(folder) if entry.path not in OMITTED_PATHS and entry.name != "__pycache__"]
    files = [entry.path for entry in entries if entry.name.endswith(".py")]
    return [*files, *(file for entry in entries if entry.is_dir() for file in _emitting_files(entry.path))]


def _files_defining(cls: type) -> set[str]:
    """Return the files that define a class and its base classes, without Python's own."""
    modules = {base.__module__ for base in cls.__mro__} - {"builtins", "typing", "abc"}
    files = {getattr(sys.modules.get(module), "__file__", None) for module in modules}
    return {file for file in files if file and file.endswith(".py") and os.path.isfile(file)}


@functools.cache
def _digest_of(file: str) -> bytes:
    with open(file, "rb") as source:
        return hashlib.sha256(source.read()).digest()
