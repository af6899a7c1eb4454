"""Programs with a pool, for faults in the seconds when workers start: they import this file as __mp_main__.

`python -m tests.execution.starts killed`: every worker is killed before it reads its first message.
`python -m tests.execution.starts held FOLDER`: every worker leaves a file named by its process id in FOLDER
and waits there for a file named `go`; signals to the campaign itself do nothing.
`python -m tests.execution.starts abandoned`: the campaign ends with its pool still open.
"""

import os
import signal
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np

from airbench_var.errors import AirbenchVarError
from airbench_var.execution import process_pool
from airbench_var.seeds import seeds_of_run
from airbench_var.store import Outcome, RunSpec
from tests.execution.fake_runs import FakeRun

LARGER_THAN_A_PIPE = 1 << 20  # bytes


def start_worker() -> None:
    if sys.argv[1] == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if sys.argv[1] == "held":
        folder = Path(sys.argv[2])
        (folder / str(os.getpid())).touch()
        while not (folder / "go").exists():
            time.sleep(0.01)


if __name__ == "__mp_main__":
    start_worker()

if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)  # not SIG_IGN, which the workers would inherit
    make_train = partial(FakeRun, np.zeros(LARGER_THAN_A_PIPE, np.uint8))
    specs = [RunSpec(run_id=i, seeds=seeds_of_run(0, i)) for i in range(4)]
    pool = process_pool([make_train], specs, lambda: False, workers=2)
    try:
        if sys.argv[1] == "abandoned":
            next(report for report in pool if isinstance(report, Outcome))
        else:
            print(sum(isinstance(report, Outcome) for report in pool))
    except AirbenchVarError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
