from .callback import EvaluateCallback as EvaluateCallback

__all__ = [
    "EvaluateCallback",
]
