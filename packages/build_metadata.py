"""Fills in the metadata that all six distributions of this repository share, when they are built.

The version is read from `dynet/__init__.py`. Authors, classifiers and URLs come from `[tool.dynet]` in the repository's
pyproject.toml. The requirements of a package are listed in its own pyproject.toml, under
`[tool.hatch.metadata.hooks.custom]`; if one is a sibling, a package of this repository, it is pinned here to the same
version. Each package's `hatch_build.py` calls `update`. Builds from an sdist do not need it, because the sdist contains
the finished metadata.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PACKAGES = Path(__file__).resolve().parent
SIBLINGS = {"dynet-tvm", "dynet-kernels", "dynet-core", "dynet-ops", "dynet-rnn", "dynet-optim"}


def version() -> str:
    source = (PACKAGES / "dynet" / "src" / "dynet" / "__init__.py").read_text(encoding="utf-8")
    (found,) = re.findall(r'^__version__ = "(.*)"$', source, re.MULTILINE)
    return found


def pinned(requirements: list[str]) -> list[str]:
    return [f"{text}=={version()}" if text in SIBLINGS else text for text in requirements]


def update(metadata: dict[str, Any], config: Mapping[str, Any]) -> None:
    root = tomllib.loads((PACKAGES.parent / "pyproject.toml").read_text(encoding="utf-8"))
    shared = root["tool"]["dynet"]
    url = shared["repository"]
    metadata["version"] = version()
    metadata["dependencies"] = pinned(config["dependencies"])
    if extras := config.get("optional-dependencies"):
        metadata["optional-dependencies"] = {extra: pinned(wanted) for extra, wanted in extras.items()}
    metadata["authors"] = [{"name": shared["authors"]}]
    metadata["classifiers"] = shared["classifiers"]
    metadata["urls"] = {
        "Repository": url,
        "Documentation": f"{url}/tree/main/docs",
        "Changelog": f"{url}/blob/main/CHANGELOG.md",
        "Issues": f"{url}/issues",
    }
