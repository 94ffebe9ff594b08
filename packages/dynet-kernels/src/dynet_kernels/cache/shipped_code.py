"""Machine code for general kinds of CPU that is shipped in a wheel, in the same format as the cache.

The keys depend on source files, but not on the compiler's version, because a wheel works with any installed version. A
*frozen* program, whose modules are in an archive, has no source files. So `index.json` maps keys that leave out the
sources to the keys of the shipped files.
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
INDEX_NAME = "index.json"


@functools.cache
def index() -> dict[str, str]:
    """Return the index if this is a frozen program, else {}. Raise a CacheError if a frozen program has no index."""
    if os.path.isfile(os.path.join(os.path.dirname(__file__), "shipped_code.py")):
        return {}
    if not (FOLDER / INDEX_NAME).is_file():
        raise store.CacheError(f"{FOLDER} lacks what `python -m dynet_kernels.build --into` writes for frozen programs")
    return json.loads((FOLDER / INDEX_NAME).read_bytes())


def should_look_in_cache() -> bool:
    """Return whether to look in the cache as well. If code is shipped, do not create a cache for this purpose."""
    return store.exists() or not (index() or FOLDER.exists())


def find(key: str) -> bytes | None:
    """Return the object file for a key. Return None if it is missing or, after a warning, if it is damaged."""
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
