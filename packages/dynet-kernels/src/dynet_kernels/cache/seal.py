"""Writes files atomically. A file of machine code ends with a SHA-256 digest of the file's key and contents.

This file imports nothing from the package, because the build of a wheel runs it alone.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path

_DIGEST_SIZE = hashlib.sha256().digest_size


def sealed(key: str, content: bytes) -> bytes:
    """Return the bytes of a file that stores `content` under `key`."""
    return content + _digest(key, content)


def unsealed(key: str, stored_bytes: bytes) -> bytes | None:
    """Return the content of a file, given its bytes. Return None if it is damaged or was stored under another key."""
    content = stored_bytes[:-_DIGEST_SIZE]
    return content if stored_bytes[-_DIGEST_SIZE:] == _digest(key, content) else None


def _digest(key: str, content: bytes) -> bytes:
    digest = hashlib.sha256(f"{len(key)} {key} ".encode())
    digest.update(content)
    return digest.digest()


def write(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Write a new file and rename it to `path`. If this fails, `path` is unchanged. `mode` has the permission bits."""
    unfinished = path.with_name(f"{path.stem}.{secrets.token_hex(4)}.new")
    try:
        with open(unfinished, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
