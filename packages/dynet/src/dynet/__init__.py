"""DyNet on kernels compiled by Apache TVM: ``import dynet as dy``.

Exports the public names of dynet_core, dynet_ops, dynet_rnn and dynet_optim, as far as they are installed. Reads the
`--dynet-...` flags of the command line, unless the program has used `dynet_config` before.
"""

import os as _os
from typing import TYPE_CHECKING

from dynet import _installation, _other_names

__version__ = "3.0.0"
_installation.check(__version__)
if _installation.is_clearing():
    _os.environ["DYNET_RECORDER"] = "python"  # do not compile a recorder that is about to be removed

import _dynet_names
import dynet_config as dynet_config
import dynet_core
from _dynet_names import *

if dynet_config.get() is None:
    dynet_core.init()  # leaves the flags in sys.argv
else:
    dynet_core.config.PARAMS.init()


if TYPE_CHECKING:  # type checkers take the names from the imports
    from dynet_rnn import _RNNBuilder as _RNNBuilder

    HAVE_CUDA: bool
else:
    __all__ = ["HAVE_CUDA", "dynet_config", *_dynet_names.__all__]

    def __getattr__(name: str):
        if name == "HAVE_CUDA":
            return dynet_core.device.has_driver()
        message = f"module 'dynet' has no attribute {name!r}" + _other_names.hint(name, __all__)
        extra = _installation.extra_with(name)
        if extra:
            command = f'pip install "dynet-core[{extra}]=={__version__}"'
            message += f"; dynet-{extra} is not installed and may have it: {command}"
        raise AttributeError(message)

    def __dir__() -> list[str]:
        """Return the public names, without imported submodules."""
        return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
