"""DyNet's trainers (optimizers)."""

from dynet_core.messages.hints import explain_arguments as _explain_arguments
from dynet_core.moved import also_named as _also_named
from dynet_optim.trainers import *
from dynet_optim.trainers import __all__ as __all__

from . import trainers as _trainers

_also_named(__name__, {"base": "state", "parallel": "parallel.data_parallel", "trainers": "adam adaptive sgd"})
globals().update(dict.fromkeys(("adam", "adaptive", "sgd"), _trainers))

_explain_arguments(*[globals()[name] for name in __all__ if name.endswith("Trainer") and name != "Trainer"])
