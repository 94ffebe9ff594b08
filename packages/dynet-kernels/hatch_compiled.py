"""Builds a wheel for one architecture that brings compiled kernels, if the environment asks for it.

The environment variable DYNET_COMPILED names a folder that `python -m dynet_kernels.build --into` has filled, and
DYNET_ARCHITECTURE the machine, `x86_64` or `aarch64`. Without them the wheel is for all machines, and programs compile
their kernels.
"""

import os
import runpy
from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MACHINES = {"x86_64": 62, "aarch64": 183}  # the number of the machine in the header of an object file
INDEX = "index.json"  # which frozen programs need; see shipped_code.py
SEAL = Path(__file__).parent / "src" / "dynet_kernels" / "cache" / "seal.py"


class CompiledKernels(BuildHookInterface):
    def initialize(self, version, build_data):
        given, architecture = (os.environ.get(name) for name in ("DYNET_COMPILED", "DYNET_ARCHITECTURE"))
        if version == "editable" or (not given and not architecture):
            return
        if architecture not in MACHINES:
            raise ValueError(f"DYNET_ARCHITECTURE is {architecture!r}, not one of {', '.join(MACHINES)}")
        if not given:
            raise ValueError("DYNET_ARCHITECTURE is set, but DYNET_COMPILED does not name a folder")
        folder = Path(given).resolve()
        files = sorted(file for file in folder.iterdir() if file.name != INDEX) if folder.is_dir() else []
        if not files:
            raise ValueError(f"DYNET_COMPILED is {given!r}, but {folder} has no compiled kernels")
        unsealed = runpy.run_path(str(SEAL))["unsealed"]
        if not (folder / INDEX).is_file():
            raise ValueError(f"DYNET_COMPILED is {given!r}, but {folder} has no {INDEX}: build into it to the end")
        build_data["force_include"][str(folder / INDEX)] = f"dynet_kernels/compiled/{INDEX}"
        for file in files:
            code = unsealed(file.stem, file.read_bytes()) if file.suffix == ".o" else None
            if code is None:
                raise ValueError(
                    f"{file} is not a file of compiled kernels, or it is damaged: build into an empty folder"
                )
            # The recorder is not an object file itself, but two of them behind a head.
            if code[:4] == b"\x7fELF" and int.from_bytes(code[18:20], "little") != MACHINES[architecture]:
                raise ValueError(f"{file} is not for {architecture}")
            build_data["force_include"][str(file)] = f"dynet_kernels/compiled/{file.name}"
        build_data["pure_python"] = False
        # The oldest system for which there are wheels of apache-tvm, which this package requires.
        build_data["tag"] = f"py3-none-manylinux_2_28_{architecture}"
