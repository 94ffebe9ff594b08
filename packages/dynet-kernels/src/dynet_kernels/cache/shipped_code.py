"""Machine code for general kinds of CPU that is shipped in a wheel, in the same format as the cache.

A file's key depends on source files, but not on TVM's version, because a wheel works with any installed TVM. A program
that a tool such as PyInstaller has *bundled* into an archive has no source files. So `index.json` maps keys that are
computed without source files to the keys of the shipped files.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
import os
from pathlib import Path
from typing import Any

from . import seal, store

PACKAGE: Any = Path(__file__).parents[1]
if not PACKAGE.is_dir():
    PACKAGE = importlib.resources.files((__package__ or "").partition(".")[0])  # a path inside an archive
FOLDER = PACKAGE / "compiled"
INDEX_NAME = "index.json"


@functools.cache
def index() -> dict[str, str]:
    """Return the contents of `index.json` in a bundled program, else {}. Raise a CacheError if the file is missing."""
    if os.path.isfile(os.path.join(os.path.dirname(__file__), "shipped_code.py")):
        return {}
    if not (FOLDER / INDEX_NAME).is_file():
        raise store.CacheError(f"{FOLDER} lacks what `python -m dynet_kernels.build --into` writes for frozen programs")
    return json.loads((FOLDER / INDEX_NAME).read_bytes())


def should_look_in_cache() -> bool:
    """Return whether to look in the user's cache: if code is shipped, only if the cache directory already exists."""
    return store.exists() or not (index() or FOLDER.exists())


def find(key: str) -> bytes | None:
    """Return the shipped object file for a key, or None if it is missing or (with a warning) damaged."""
    key = index().get(key, key)
    path = FOLDER / f"{key}.o"
    try:
        content = path.read_bytes()
    except OSError:
        return None
    code = seal.unsealed(key, content)
    if code is None:
        store.warn(f"dynet: {path} is damaged and not used; kernels are compiled instead. Install dynet-kernels again.")
    return code


def write(folder: Path, key: str, content: bytes) -> None:
    seal.write(folder / f"{key}.o", seal.sealed(key, content))
