"""Machine code for general kinds of CPU that is shipped in a wheel, in files like those of the cache.

Their keys depend on source files, but not on the version of the compiler, because a wheel works with any version that
is installed. A *frozen* program, whose modules are in an archive, has no source files. So `index.json` leads from the
keys of parts without sources to the keys of the shipped files.
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
    PACKAGE = importlib.resources.files((__package__ or "").partition(".")[0])  # a path in an archive
FOLDER = PACKAGE / "compiled"
INDEX = "index.json"


@functools.cache
def index() -> dict[str, str]:
    """Return the index if this is a frozen program, else {}. If a frozen program has none, raise a CacheError."""
    if os.path.isfile(os.path.join(os.path.dirname(__file__), "shipped_code.py")):
        return {}
    if not (FOLDER / INDEX).is_file():
        raise store.CacheError(f"{FOLDER} lacks what `python -m dynet_kernels.build --into` writes for frozen programs")
    return json.loads((FOLDER / INDEX).read_bytes())


def look_in_cache() -> bool:
    """Return whether to look for files in the cache, too. Where code is shipped, do not create a cache for that."""
    return store.exists() or not (index() or FOLDER.exists())


def find(key: str) -> bytes | None:
    """Return the object file for a key; None if there is none, or if it is damaged. In the latter case also warn."""
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
