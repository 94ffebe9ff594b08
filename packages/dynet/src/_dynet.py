"""The library without a look at the command line: `init()` or `DynetParams` say when and what."""

import dynet_core
from dynet_core import *

__all__ = dynet_core.__all__
