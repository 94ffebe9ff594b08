"""The library without a look at the command line: `init()` or `DynetParams` say when and what."""

import _dynet_names
from _dynet_names import *

__all__: list[str] = []
__all__ += _dynet_names.__all__
