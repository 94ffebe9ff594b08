"""DyNet on kernels compiled by Apache TVM: ``import dynet as dy``.

Re-exports the public names of dynet_core and of what is installed of dynet_ops, dynet_rnn and dynet_optim, and
reads the command line's `--dynet-...` flags.
"""

from dynet import _installation

__version__ = "3.0.0"
_installation.check(__version__)

import dynet_core
from dynet_core import *

__all__: list[str] = []
__all__ += dynet_core.__all__

if _installation.is_installed("dynet_ops"):
    import dynet_ops
    from dynet_ops import *

    __all__ += dynet_ops.__all__

if _installation.is_installed("dynet_rnn"):
    import dynet_rnn
    from dynet_rnn import *

    __all__ += dynet_rnn.__all__

if _installation.is_installed("dynet_optim"):
    import dynet_optim
    from dynet_optim import *

    __all__ += dynet_optim.__all__

dynet_core.init()  # the command line's --dynet-... flags; they stay in sys.argv


def __getattr__(name: str):
    message = f"module 'dynet' has no attribute {name!r}"
    extra = _installation.extra_with(name)
    if extra:
        message += f'; dynet-{extra} is not installed and may have it: pip install "dynet-core[{extra}]=={__version__}"'
    raise AttributeError(message)
