"""DyNet's trainers (optimizers)."""

from dynet_core.messages.hints import explain_arguments
from dynet_core.moved import also_named

from . import trainers
from .base import Trainer
from .parallel import DataParallel
from .trainers import *

__all__ = [
    "AdadeltaTrainer", "AdagradTrainer", "AdamTrainer", "AmsgradTrainer", "CyclicalSGDTrainer", "DataParallel",
    "MomentumSGDTrainer", "RMSPropTrainer", "SimpleSGDTrainer", "Trainer",
]  # fmt: skip

also_named(__name__, {"base": "state", "parallel": "parallel.data_parallel", "trainers": "adam adaptive sgd"})
adam = adaptive = sgd = trainers

explain_arguments(*[getattr(trainers, name) for name in trainers.__all__])
