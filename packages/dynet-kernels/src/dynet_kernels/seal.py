"""The form in which machine code is stored: the code, followed by a SHA-256 digest of its key and itself.

This file imports nothing of the package, because the build of a wheel runs it by itself.
"""

from __future__ import annotations

import hashlib

_DIGEST_SIZE = hashlib.sha256().digest_size


def sealed(key: str, content: bytes) -> bytes:
    """Return what a file holds in which `content` is stored under `key`."""
    return content + _digest(key, content)


def unsealed(key: str, stored: bytes) -> bytes | None:
    """Return the content of a file that was stored under `key`; None if it is damaged or belongs to another key."""
    content = stored[:-_DIGEST_SIZE]
    return content if stored[-_DIGEST_SIZE:] == _digest(key, content) else None


def _digest(key: str, content: bytes) -> bytes:
    digest = hashlib.sha256(f"{len(key)} {key} ".encode())
    digest.update(content)
    return digest.digest()
