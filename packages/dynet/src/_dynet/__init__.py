"""The library without a look at the command line: `init()` or `DynetParams` say when and what."""

from typing import TYPE_CHECKING

import _dynet_names
from _dynet_names import *

if TYPE_CHECKING:  # checkers take the names from the imports
    from dynet_rnn import _RNNBuilder as _RNNBuilder
else:
    __all__ = [*_dynet_names.__all__]
