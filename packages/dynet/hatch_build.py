"""Metadata that all packages share; in an sdist they are there already."""

import runpy
from pathlib import Path

from hatchling.metadata.plugin.interface import MetadataHookInterface

SHARED = Path(__file__).resolve().parents[1] / "build_metadata.py"


class SharedMetadata(MetadataHookInterface):
    def update(self, metadata):
        if SHARED.exists():
            runpy.run_path(str(SHARED))["update"](metadata, self.config)
