"""DyNet on kernels compiled by Apache TVM: ``import dynet as dy``.

This module has the public names of dynet_core, and of dynet_ops, dynet_rnn and dynet_optim if they are installed.
Importing it reads the `--dynet-...` flags of the command line, unless the program has made settings in `dynet_config`.
"""

import os as _os
import sys as _sys
from typing import TYPE_CHECKING

from dynet import _installation

__version__ = "3.0.0"
_installation.check(__version__)
if _installation.is_command() and "--clear-cache" in _sys.argv:
    # This process is about to remove all compiled code, so it should not first compile the recorder.
    _os.environ["DYNET_RECORDER"] = "python"

try:
    import _dynet
except (ValueError, ImportError) as _problem:  # for example, an environment variable has a bad value
    if not _installation.is_command():
        raise
    _sys.exit(f"python -m dynet: {_problem}")
import dynet_config as dynet_config
import dynet_core
from _dynet import *
from dynet import _other_names
from dynet_core.annotations import Number as Number  # not in __all__: programs may use this name themselves

if dynet_config.get() is None:
    dynet_core.init()  # reads the flags of the command line, and leaves them in sys.argv
else:
    dynet_core.config.PARAMS.init()  # applies the settings made in `dynet_config`

if TYPE_CHECKING:  # type checkers cannot evaluate the `__all__` below, and would not find these two names
    from _dynet import _RNNBuilder as _RNNBuilder

    HAVE_CUDA: bool
else:
    __all__ = ["HAVE_CUDA", "dynet_config", *_dynet.__all__]

    HAVE_CUDA = dynet_core.compute.device.has_driver()

    # Words such as `function` are names in many programs, so `from dynet import *` leaves them out.
    globals().update({name: getattr(_dynet, name) for name in _dynet._EXTRA_NAMES})
    _PUBLIC = [*__all__, *_dynet._EXTRA_NAMES]

    if _installation.is_complete():  # using `dy.relu`, a name of other libraries, then raises an error with a hint
        globals().update({name: obj for name, obj in _other_names.stand_ins(_PUBLIC).items() if name not in globals()})
    else:

        def __getattr__(name: str):  # only in incomplete installations, as it slows down all names
            raise AttributeError(_other_names.message(name, _PUBLIC, __version__))

    def __dir__() -> list[str]:
        """Return the public names and names such as `__version__`, but not imported submodules."""
        return sorted({*_PUBLIC, *(name for name in globals() if name.startswith("__"))})
