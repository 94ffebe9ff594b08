"""DyNet's trainers (optimizers)."""

from dynet_core.keyword_hints import give_keyword_hints

from .adam import AdamTrainer, AmsgradTrainer
from .adaptive import AdadeltaTrainer, AdagradTrainer, RMSPropTrainer
from .base import Trainer
from .other_names import KEYWORDS, OF_ONE_TRAINER
from .parallel import DataParallel
from .sgd import CyclicalSGDTrainer, MomentumSGDTrainer, SimpleSGDTrainer

__all__ = [
    "AdadeltaTrainer", "AdagradTrainer", "AdamTrainer", "AmsgradTrainer", "CyclicalSGDTrainer",
    "DataParallel",
    "MomentumSGDTrainer", "RMSPropTrainer", "SimpleSGDTrainer", "Trainer",
]  # fmt: skip

for _kind in (
    SimpleSGDTrainer, CyclicalSGDTrainer, MomentumSGDTrainer, AdagradTrainer, AdadeltaTrainer, RMSPropTrainer,
    AdamTrainer, AmsgradTrainer,
):  # fmt: skip
    give_keyword_hints(_kind, {**KEYWORDS, **OF_ONE_TRAINER.get(_kind.__name__, {})})
