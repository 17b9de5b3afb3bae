"""Training: `lo.fit` and its history, early stop, accuracy, and checks before the first run."""

from typing import NoReturn

from tinygrad_lo.options import missing
from tinygrad_lo.training.history import EarlyStop, History
from tinygrad_lo.training.loop import fit
from tinygrad_lo.training.metrics import accuracy
from tinygrad_lo.training.sanity import check_setup, learning_rate_range

__all__ = ["fit", "History", "EarlyStop", "accuracy", "check_setup", "learning_rate_range"]


def __getattr__(name: str) -> NoReturn:
    raise missing("lo.training", name, __all__)
