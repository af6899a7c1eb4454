"""A checkout of airbench94_muon.py on the same data in the same minutes: ours and the peer take turns."""

import json
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from airbench_var.data.dataset import Dataset, Split
from airbench_var.errors import UsageError
from bench.gpu.engine import mean_accuracies
from bench.gpu.report import Report
from bench.gpu.session import Deadline, Session
from bench.gpu.timing import Timed

FILE = "airbench94_muon.py"
RUNNER = Path(__file__).with_name("peer_runner.py")
#: Its first run compiles with max-autotune, which takes a minute or two.
PATIENCE_S = 240
#: What an answer calls its clocks. Its own leaves out loading the data and the evaluation after every epoch.
CLOCKS = {"call_s": "peer, its whole call", "own_s": "peer, by its own clock"}


def find(path: Path) -> Path:
    """Return the file that --peer means; raises UsageError when there is none."""
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        raise UsageError(
            f"--peer {path}: there is no {FILE}. Name a checkout of cifar10-airbench, or the file."
        )
    return file.resolve()


def section(session: Session, report: Report, deadline: Deadline) -> None:
    """Time runs of ours and of the peer, A B A B: its whole call, and what its own clock says."""
    assert session.peer is not None
    file, path = session.peer, session.networks.fast
    report.figure("peer_sha256", sha256(file.read_bytes()).hexdigest())
    ours_s: list[float] = []
    answers: list[dict[str, Any]] = []
    with running(file, session) as peer:
        first = peer.run("warmup")
        while deadline.more(len(answers), session.sizes.turns):
            ours_s.append(path.train())
            answers.append(peer.run(str(len(answers))))
    best_ms = session.ceilings.multiplying_ms(session.networks.operations, session.networks.product_type)
    case = f"{session.networks.recipe.name} and its peer in turns"
    ours = Timed(1e3 * np.array(ours_s), path.times.first_ms)
    times = {"ours": ours}
    for clock, name in CLOCKS.items():
        if any(answer[clock] is None for answer in answers):
            continue
        times[name] = theirs = Timed(
            1e3 * np.array([answer[clock] for answer in answers]), 1e3 * first["call_s"]
        )
        report.figure(f"peer_{clock}_over_ours", theirs.median_ms / ours.median_ms)
        if session.per_hour:
            best = max(session.per_hour.values()) * theirs.median_ms / 3.6e6
            report.figure(f"several_of_ours_at_a_time_over_one_peer_{clock}", best)
    for name, variant in times.items():
        report.add(case, name, variant, ceiling="gemm", best_ms=best_ms, items=1, item="networks", per="hour")
    report.figure("peer_mean_accuracy", float(np.mean([answer["accuracy"] for answer in answers])))
    accuracies = mean_accuracies(path.results[-len(ours_s) :], session.data, session.networks.test_sets)
    report.figure("our_mean_accuracy", dict(accuracies))


class Peer:
    """The peer's process, which trains a network when it is asked."""

    def __init__(self, process: "subprocess.Popen[str]", log: Path) -> None:
        self._process, self._log = process, log

    def run(self, run: str) -> dict[str, Any]:
        """Return the answer to one request; raises RuntimeError when the process ends or is silent."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{run}\n")
        self._process.stdin.flush()
        answered, _, _ = select.select([self._process.stdout], [], [], PATIENCE_S)
        line = self._process.stdout.readline() if answered else ""
        if not line:
            how = "ended" if answered else f"said nothing for {PATIENCE_S} s"
            raise RuntimeError(f"the peer {how} in run {run!r}; see {self._log.name}")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def running(file: Path, session: Session) -> Iterator[Peer]:
    """Start the peer in a temporary folder with our data as it reads them; end it, whatever happens."""
    log = session.out / "peer.txt"
    with TemporaryDirectory() as folder, log.open("w") as errors:
        write_data(session.data, Path(folder) / "cifar10")
        command = [sys.executable, "-P", str(RUNNER), str(file), session.device.type]
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=session.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        try:
            yield Peer(process, log)
        finally:
            process.kill()
            process.communicate()


def write_data(dataset: Dataset, folder: Path) -> None:
    """Write train.pt and test.pt: uint8 images (N, H, W, 3), int64 labels, names of classes."""
    folder.mkdir()
    for name, split in (("train", dataset.train), ("test", dataset.test)):
        torch.save({**tensors(split), "classes": list(dataset.classes)}, folder / f"{name}.pt")


def tensors(split: Split) -> dict[str, torch.Tensor]:
    """Return images and labels of a split, in memory of their own."""
    return {
        "images": torch.tensor(split.images_NHWC),
        "labels": torch.tensor(split.labels_N.astype(np.int64)),
    }
