"""Machine code that the package brings, for general kinds of CPU. A wheel has it, a source tree has not.

Each file of the folder `compiled` is an object file, stored as in the cache: its name is a key, and a digest follows.
The keys do not depend on the versions of the compiler, which the package was built with.
"""

from __future__ import annotations

from pathlib import Path

from . import cache

FOLDER = Path(__file__).parent / "compiled"


def find(key: str) -> bytes | None:
    """Return the object file for a key; None if there is none. A damaged one is not used, and a warning says so."""
    path = FOLDER / f"{key}.o"
    try:
        content = path.read_bytes()
    except OSError:
        return None
    code = cache.unsealed(key, content)
    if code is None:
        cache.warn(f"dynet: {path} is damaged and not used; kernels are compiled instead. Install dynet-kernels again.")
    return code


def write(folder: Path, key: str, content: bytes) -> None:
    """Store an object file in a folder under a key."""
    (folder / f"{key}.o").write_bytes(cache.sealed(key, content))
