"""Builds a wheel for one architecture that brings compiled kernels, if the environment asks for it.

The environment variable DYNET_COMPILED names a folder that `python -m dynet_kernels.build --into` has filled, and
DYNET_ARCHITECTURE the machine, `x86_64` or `aarch64`. Without them the wheel is for all machines, and programs compile
their kernels.
"""

import os
from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ARCHITECTURES = ("x86_64", "aarch64")


class CompiledKernels(BuildHookInterface):
    def initialize(self, version, build_data):
        folder, architecture = (os.environ.get(name) for name in ("DYNET_COMPILED", "DYNET_ARCHITECTURE"))
        if not folder and not architecture:
            return
        if architecture not in ARCHITECTURES:
            raise ValueError(f"DYNET_ARCHITECTURE is {architecture!r}, not one of {', '.join(ARCHITECTURES)}")
        files = sorted(Path(folder or "").glob("*.o")) if folder else []
        if not files:
            raise ValueError(f"DYNET_COMPILED is {folder!r}, which has no compiled kernels")
        build_data["pure_python"] = False
        # The oldest system for which there are wheels of apache-tvm, which this package requires.
        build_data["tag"] = f"py3-none-manylinux_2_28_{architecture}"
        for file in files:
            build_data["force_include"][str(file)] = f"dynet_kernels/compiled/{file.name}"
