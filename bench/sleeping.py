"""A run that only sleeps: its own module without torch, so that its workers are there at once."""

import time

import numpy as np

from airbench_var.seeds import Seeds
from airbench_var.store import Predictions, RunResult


class Sleeps:
    """A run that takes a given time and no core; its result is as large as that of a network."""

    def __init__(self, seconds: float, examples: int) -> None:
        predicted_N = np.zeros(examples, np.uint8)
        predictions = Predictions(correct=np.packbits(predicted_N), predicted=predicted_N)
        self.seconds = seconds
        self.result = RunResult(predictions={"fake": predictions}, loss=0.5, diverged=False, train_s=seconds)

    def __call__(self, seeds: Seeds) -> RunResult:
        """Sleep."""
        time.sleep(self.seconds)
        return self.result
