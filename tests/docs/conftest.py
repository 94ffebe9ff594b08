"""Puts the runner of the pages and the extension that builds the reference on the import path."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "docs" / "extensions"))
