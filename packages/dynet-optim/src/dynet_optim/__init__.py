"""DyNet's trainers (optimizers)."""

from dynet_core.messages.hints import explain_arguments

from .adam import AdamTrainer, AmsgradTrainer
from .adaptive import AdadeltaTrainer, AdagradTrainer, RMSPropTrainer
from .base import Trainer
from .parallel import DataParallel
from .sgd import CyclicalSGDTrainer, MomentumSGDTrainer, SimpleSGDTrainer

__all__ = [
    "AdadeltaTrainer", "AdagradTrainer", "AdamTrainer", "AmsgradTrainer", "CyclicalSGDTrainer",
    "DataParallel",
    "MomentumSGDTrainer", "RMSPropTrainer", "SimpleSGDTrainer", "Trainer",
]  # fmt: skip

explain_arguments(*Trainer.__subclasses__(), AmsgradTrainer)
