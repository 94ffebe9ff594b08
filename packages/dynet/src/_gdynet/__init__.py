"""The public names, without reading the command line. `init()` or `DynetParams` make the settings."""

from typing import TYPE_CHECKING

import _dynet_names
from _dynet_names import *

if TYPE_CHECKING:  # type checkers take the names from the imports
    from dynet_rnn import _RNNBuilder as _RNNBuilder
else:
    __all__ = [*_dynet_names.__all__]
