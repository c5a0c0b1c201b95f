from .callbacks.average import WeightAverage as WeightAverage
from .callbacks.checkpoints import RunCheckpoint as RunCheckpoint
from .callbacks.guard import FiniteLoss as FiniteLoss
from .callbacks.lost_process import LostProcess as LostProcess
from .callbacks.preemption import Preemption as Preemption
from .callbacks.progress import ProgressBar as ProgressBar
from .callbacks.progress import ProgressLines as ProgressLines
from .callbacks.rank_watch import RankWatch as RankWatch
from .callbacks.telemetry import Telemetry as Telemetry
from .checkpoint import AtomicCheckpointIO as AtomicCheckpointIO
from .module import ContrastiveModule as ContrastiveModule
from .optimisers import AdamW as AdamW
from .optimisers import Constant as Constant
from .optimisers import CosineWarmup as CosineWarmup
from .optimisers import OneCycle as OneCycle
from .optimisers import Schedule as Schedule
from .predictions import Predictions as Predictions
from .sharded import ShardedTowers as ShardedTowers

__all__ = [
    "AdamW",
    "AtomicCheckpointIO",
    "Constant",
    "ContrastiveModule",
    "CosineWarmup",
    "FiniteLoss",
    "LostProcess",
    "OneCycle",
    "Predictions",
    "Preemption",
    "ProgressBar",
    "ProgressLines",
    "RankWatch",
    "RunCheckpoint",
    "Schedule",
    "ShardedTowers",
    "Telemetry",
    "WeightAverage",
]
