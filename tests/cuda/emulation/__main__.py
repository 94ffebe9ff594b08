"""Runs a script with the emulated GPU: python tests/cuda/emulation SCRIPT ARGUMENTS..."""

import runpy
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])

import emulation  # noqa: E402

emulation.install()
del sys.argv[0]
sys.path[0] = str(Path(sys.argv[0]).parent)
runpy.run_path(sys.argv[0], run_name="__main__")
