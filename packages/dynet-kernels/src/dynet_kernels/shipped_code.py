"""Machine code that is shipped with the package, for general kinds of CPU. A wheel contains it, a source tree does not.

Each file of the folder `compiled` is stored like a file of the cache: its name is a key, and it holds an object file
followed by a digest. In contrast to the cache, the keys do not depend on the version of the compiler, because a wheel
works with any version that is installed.
"""

from __future__ import annotations

import os
from pathlib import Path

from . import cache, cache_directory, seal

FOLDER = Path(__file__).parent / "compiled"


def look_in_cache() -> bool:
    """Return whether to look for files in the cache, too. Where code is shipped, do not create a cache for that."""
    return cache_directory.exists() or not FOLDER.exists()


def find(key: str) -> bytes | None:
    """Return the object file for a key; None if there is none, or if it is damaged. In the latter case also warn."""
    path = FOLDER / f"{key}.o"
    try:
        content = path.read_bytes()
    except OSError:
        return None
    code = seal.unsealed(key, content)
    if code is None:
        cache.warn(f"dynet: {path} is damaged and not used; kernels are compiled instead. Install dynet-kernels again.")
    return code


def write(folder: Path, key: str, content: bytes) -> None:
    """Store an object file in a folder under a key: the whole file or nothing."""
    path = folder / f"{key}.o"
    unfinished = path.with_suffix(".new")
    try:
        unfinished.write_bytes(seal.sealed(key, content))
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
