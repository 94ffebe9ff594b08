"""Puts this folder on the import path, along with the helpers that parity scripts share with other tests."""

import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent / "parity" / "scripts"))

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # If a shell started the tests in the background, their child processes would also ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
