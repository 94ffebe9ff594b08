"""Makes importable what the tests of this directory share."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
