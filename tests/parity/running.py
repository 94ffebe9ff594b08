"""Runs a script in a separate process and reads the results that it prints."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


class ScriptFailed(Exception):
    """A script ended with an error."""


def run_script(
    python: Sequence[str], script: Path, arguments: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> dict:
    """The JSON object that the script prints on a separate line; DyNet 2.1 prints messages around it."""
    result = subprocess.run(
        [*python, str(script), *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=600,
        env={**os.environ, **(environment or {})},
    )
    if result.returncode:
        raise ScriptFailed(f"{script.name} under {python[0]} ended with {result.returncode}:\n{result.stderr}")
    return json.loads(next(line for line in reversed(result.stdout.splitlines()) if line.startswith("{")))
