"""Makes importable what runs the pages, and the extension that makes the reference."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "docs" / "extensions"))
