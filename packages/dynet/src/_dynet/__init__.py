"""The public names of this library's installed packages. In the original DyNet, `_dynet` is the version for CPUs.

Unlike `import dynet`, importing this module does not read the command line. Programs make settings with `init()` or
`DynetParams`. np, os, pickle and sys are public names, because the original DyNet's `from dynet import *` has them.
"""

import os as os
import pickle as pickle
import sys as sys
from importlib import import_module as _import_module
from importlib.util import find_spec as _find_spec
from typing import TYPE_CHECKING

import numpy as _numpy

from dynet_core import *

np = _numpy

# An uninstall may leave a folder without `__init__.py`, whose spec has no origin.
_PACKAGES = [name for name in ("dynet_ops", "dynet_rnn", "dynet_optim") if getattr(_find_spec(name), "origin", None)]

if TYPE_CHECKING or "dynet_ops" in _PACKAGES:
    from dynet_ops import *
if TYPE_CHECKING or "dynet_rnn" in _PACKAGES:
    from dynet_rnn import *
if TYPE_CHECKING or "dynet_optim" in _PACKAGES:
    from dynet_optim import *

# Type checkers cannot evaluate the `__all__` below, and would leave out a name that begins with an underscore.
if TYPE_CHECKING:
    from dynet_rnn import _RNNBuilder as _RNNBuilder
else:
    _modules = [_import_module(_package) for _package in ("dynet_core", *_PACKAGES)]
    _EXTRA_NAMES = [name for module in _modules for name in getattr(module, "_EXTRA_NAMES", ())]
    __all__ = ["np", "os", "pickle", "sys"]
    __all__ += [name for module in _modules for name in module.__all__ if name not in _EXTRA_NAMES]
