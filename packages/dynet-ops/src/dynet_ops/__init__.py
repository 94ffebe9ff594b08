"""All operations ("ops") of DyNet: functions such as `tanh` that add a node to the computation graph and return it.

Importing this package also gives expressions the operator `@` and the attribute `T`. Methods that only arrays of other
libraries have, such as `e.sum()`, then raise errors that name the function to call instead.
"""

from . import as_methods as _as_methods
from . import names as _names
from .elementwise import *
from .input import *
from .loss import *
from .matrix import *
from .network import *
from .random import *
from .reduce import *
from .select import *
from .shape import *

__all__: list[str] = []
__all__ += _names.__all__

_as_methods.install()
