"""DyNet's trainers (optimizers)."""

import sys

from dynet_core.messages.hints import explain_arguments

from . import base, trainers
from .base import Trainer
from .parallel import DataParallel
from .trainers import *

__all__ = [
    "AdadeltaTrainer", "AdagradTrainer", "AdamTrainer", "AmsgradTrainer", "CyclicalSGDTrainer", "DataParallel",
    "MomentumSGDTrainer", "RMSPropTrainer", "SimpleSGDTrainer", "Trainer",
]  # fmt: skip

# Programs and older pickles name these modules.
adam = adaptive = sgd = trainers
for _name in ("adam", "adaptive", "sgd"):
    sys.modules[f"{__name__}.{_name}"] = trainers
sys.modules[f"{__name__}.state"] = base

explain_arguments(*[getattr(trainers, name) for name in trainers.__all__])
