"""DyNet's trainers (optimizers)."""

from dynet_core.messages.hints import add_argument_hints as _add_argument_hints
from dynet_core.moved import also_named as _also_named
from dynet_optim.trainers import *
from dynet_optim.trainers import __all__ as __all__

from . import trainers as _trainers

# Public names that DyNet 2.1 lacks, as in dynet_core.
_EXTRA_NAMES = [
    "AdamWTrainer", "AveragedParameters", "CosineSchedule", "EarlyStopping", "ExponentialSchedule", "PlateauSchedule",
    "WarmUpSchedule",
]  # fmt: skip

# Earlier names of the modules, for old pickles and programs.
_also_named(__name__, {"base": "state", "parallel": "parallel.data_parallel", "trainers": "adam adaptive sgd"})
globals().update(dict.fromkeys(("adam", "adaptive", "sgd"), _trainers))

# Errors about arguments then say what to pass instead.
_add_argument_hints(*[globals()[name] for name in __all__ if name.endswith("Trainer") and name != "Trainer"])
