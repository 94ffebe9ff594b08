"""All public names of the packages that are installed, for `dynet`, `_dynet` and `_gdynet`. No settings are made here.

With `from dynet import *`, as old programs have it, come the modules that DyNet's own come with.
"""

import os
import pickle
import sys
from importlib.util import find_spec

import numpy as np

import dynet_core
from dynet_core import *

__all__ = ["np", "os", "pickle", "sys"]
__all__ += dynet_core.__all__

if find_spec("dynet_ops"):
    import dynet_ops
    from dynet_ops import *

    __all__ += dynet_ops.__all__

if find_spec("dynet_rnn"):
    import dynet_rnn
    from dynet_rnn import *

    __all__ += dynet_rnn.__all__

if find_spec("dynet_optim"):
    import dynet_optim
    from dynet_optim import *

    __all__ += dynet_optim.__all__
