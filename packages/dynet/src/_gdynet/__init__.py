"""The same public names as `dynet`. In the original DyNet, the module `_gdynet` is the version for GPUs.

Unlike `import dynet`, importing this module does not read the command line. Programs make settings with `init()` or
`DynetParams`.
"""

from typing import TYPE_CHECKING

import _dynet
from _dynet import *

# Type checkers cannot evaluate the `__all__` below, and would leave out a name that begins with an underscore.
if TYPE_CHECKING:
    from _dynet import _RNNBuilder as _RNNBuilder
else:
    __all__ = [*_dynet.__all__]
    globals().update({name: getattr(_dynet, name) for name in _dynet._EXTRA_NAMES})
