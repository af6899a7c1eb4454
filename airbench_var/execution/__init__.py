"""Executors: given specs, yield outcomes. One contract, whichever way the runs are spread.

An executor is an iterator over outcomes in order of completion. It receives `arms`: for each recipe that is
trained a function, called once in every worker, which returns the pure function from seeds to a result; a
spec names its arm. Specs are begun in the order they are given, and each is yielded exactly once (and None
when the executor has waited a while, so that a slow campaign commits on time). It never writes a file, and
takes no new spec once `stop()` is true, but finishes those under way. The first outcome of a worker tells how
long it took to get ready, which is no run's time. A run whose worker dies is tried
again; the third death yields an outcome without a result. An exception inside a run is a defect, not bad
luck: it is raised here.
"""

from airbench_var.execution.contract import MAX_ATTEMPTS, Executor, MakeTrain, Stop, TrainFunction
from airbench_var.execution.in_process import in_process
from airbench_var.execution.in_threads import in_threads
from airbench_var.execution.pool import process_pool

__all__ = [
    "MAX_ATTEMPTS",
    "Executor",
    "MakeTrain",
    "Stop",
    "TrainFunction",
    "in_process",
    "in_threads",
    "process_pool",
]
