"""All operations ("ops") of DyNet: functions such as `tanh` that add a node to the computation graph and return it.

Importing this package also gives expressions the operator `@` and the attribute `T`. Methods that only arrays of other
libraries have, such as `e.sum()`, then raise errors that name the function to call.
"""

from . import as_methods as _as_methods
from ._names import *
from ._names import __all__ as __all__

_as_methods.install()
