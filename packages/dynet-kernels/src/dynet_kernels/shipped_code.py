"""Machine code that is shipped with the package, for general kinds of CPU. A wheel contains it, a source tree does not.

Each file of the folder `compiled` is stored like a file of the cache: its name is a key, and it holds an object file
followed by a digest. In contrast to the cache, the keys do not depend on the version of the compiler, because a wheel
works with any version that is installed.
"""

from __future__ import annotations

from pathlib import Path

from . import cache

FOLDER = Path(__file__).parent / "compiled"


def find(key: str) -> bytes | None:
    """Return the object file for a key; None if there is none, or if it is damaged. In the latter case also warn."""
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
    """Store `content`, an object file, under a key in a folder, in the form that `find` reads."""
    (folder / f"{key}.o").write_bytes(cache.sealed(key, content))
