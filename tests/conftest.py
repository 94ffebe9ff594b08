"""Makes importable the helpers of this folder, and what scripts of the parity tests share with other tests."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent / "parity" / "scripts"))
