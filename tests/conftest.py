"""Makes importable what the scripts of the parity tests share with tests that run without the original DyNet."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "parity" / "scripts"))
