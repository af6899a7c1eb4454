"""Executors: given specs, yield outcomes. One contract, whichever way the runs are spread.

An executor is an iterator over outcomes in order of completion. It receives `arms`: for each recipe that is
trained a function, called once for every run that a worker trains at a time, which returns the pure function
from seeds to a result; a spec names its arm. Specs are begun in the order they are given, and taken only when
a worker is free, so there may be millions. Each is yielded exactly once; between them come notices, which are
for people, and None when the executor has waited a while, so that a slow campaign commits on time. It never
writes a file, and takes no new spec once `stop()` is true, but finishes those under way.

A run whose worker dies, or gives no result in time, is tried again; the third time yields an outcome without
a result. An exception inside a run is a defect, not bad luck: it is raised here.

`in_process` is the simplest. All others are `dispatch`, the one place that knows about order, retries and
time limits, over a crew: threads of this process, processes of this machine, or actors of a Ray cluster.
"""

from airbench_var.execution.contract import (
    MAX_ATTEMPTS,
    Executor,
    MakeTrain,
    Notice,
    Report,
    Stop,
    TrainFunction,
    WorkerError,
    WorkerStartError,
)
from airbench_var.execution.in_process import in_process
from airbench_var.execution.in_threads import in_threads
from airbench_var.execution.on_ray import on_ray
from airbench_var.execution.placement import HERE, ExecutorName, Placement, choose_on_ray, choose_placement
from airbench_var.execution.pool import process_pool

__all__ = [
    "HERE",
    "MAX_ATTEMPTS",
    "Executor",
    "ExecutorName",
    "MakeTrain",
    "Notice",
    "Placement",
    "Report",
    "Stop",
    "TrainFunction",
    "WorkerError",
    "WorkerStartError",
    "choose_on_ray",
    "choose_placement",
    "in_process",
    "in_threads",
    "on_ray",
    "process_pool",
]
