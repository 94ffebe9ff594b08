"""Makes importable the helpers of this folder, and what scripts of the parity tests share with other tests."""

import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent / "parity" / "scripts"))

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell has started the tests in the background, and what they start would ignore Ctrl-C, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
