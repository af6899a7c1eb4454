"""The peer runs as it is, on our data, in turns with ours; it is told when it is not there or dies."""

import json
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
import torch

from airbench_var.data.dataset import Dataset
from airbench_var.errors import UsageError
from bench.gpu import peer
from bench.gpu.peer import find, running, section
from bench.gpu.peer_runner import Normalize, own_seconds
from bench.gpu.report import Report
from bench.gpu.session import QUICK, Deadline, Session

STAND_IN = Path(__file__).with_name("stand_in_peer.py")


@pytest.fixture
def session(tmp_path: Path, small_data: Dataset) -> Session:
    return Session(device=torch.device("cpu"), sizes=QUICK, data=small_data, out=tmp_path, peer=STAND_IN)


def test_ours_and_the_peer_take_turns(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[str] = []
    train, run = type(session.networks.fast).train, peer.Peer.run
    monkeypatch.setattr(
        type(session.networks.fast), "train", lambda path: turns.append("ours") or train(path)
    )
    monkeypatch.setattr(peer.Peer, "run", lambda self, name: turns.append(name) or run(self, name))
    before = sha256(STAND_IN.read_bytes()).hexdigest()
    report = Report(session.machine)
    section(session, report, Deadline(0))
    assert turns == ["warmup", "ours", "0", "ours", "1"]
    assert [(row.variant, row.n) for row in report.rows] == [
        ("ours", 2),
        ("peer, its whole call", 2),
        ("peer, by its own clock", 2),
    ]
    assert report.figures["peer_sha256"] == before == sha256(STAND_IN.read_bytes()).hexdigest()


def test_the_accuracy_is_that_of_its_data(session: Session) -> None:
    with running(STAND_IN, session) as stand_in:
        answer = stand_in.run("0")
    assert 0 <= answer["accuracy"] <= 1
    assert answer["accuracy"] * len(session.data.test) == pytest.approx(
        round(answer["accuracy"] * len(session.data.test)), abs=1e-3
    )
    assert answer["own_s"] == 1.2345


def test_a_peer_that_dies_is_named_with_its_log(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEER_DIES_IN", "1")
    with running(STAND_IN, session) as stand_in:
        stand_in.run("0")
        with pytest.raises(RuntimeError, match=r"the peer ended in run '1'; see peer\.txt"):
            stand_in.run("1")
    assert "no more" in (session.out / "peer.txt").read_text()


def test_a_peer_that_is_silent_is_not_waited_for(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer, "PATIENCE_S", 0)
    with running(STAND_IN, session) as stand_in, pytest.raises(RuntimeError, match="said nothing for 0 s"):
        stand_in.run("0")


def test_torchvision_is_stood_in_for_only_where_it_is_missing(tmp_path: Path) -> None:
    """The runner alone, in an empty folder: the file is imported, and its last block is not executed."""
    (tmp_path / "here.py").write_text(
        "import sys, torchvision, torchvision.transforms as T\n"
        "class CifarNet: pass\n"
        "def main(run, model):\n"
        "    print(sys.argv[0].endswith('here.py'), __name__)\n"
        "    return 0.5\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", str(peer.RUNNER), str(tmp_path / "here.py"), "cpu"],
        input="warmup\n", capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    answer = json.loads(done.stdout)
    assert (answer["accuracy"], answer["own_s"]) == (0.5, None)
    assert "True peer" in done.stderr


def test_images_are_normalised_by_channel_in_their_type() -> None:
    images = torch.tensor([[1.0, 2.0, 3.0]]).view(1, 3, 1, 1).half()
    found = Normalize(torch.tensor((1.0, 1.0, 1.0)), (1.0, 2.0, 4.0))(images)
    assert found.dtype == torch.float16
    assert found.flatten().tolist() == [0, 0.5, 0.5]
    assert images.flatten().tolist() == [1, 2, 3]


def test_its_own_seconds_are_the_last_number_of_its_table() -> None:
    table = "-----\n| run | epoch | time_seconds |\n| 3 | 7 | 2.5000 |\n|  | eval | 2.6123  |\n-----\n"
    assert own_seconds(table) == 2.6123
    assert own_seconds("") is None


def test_a_checkout_or_the_file_is_meant(tmp_path: Path) -> None:
    file = tmp_path / peer.FILE
    with pytest.raises(UsageError, match=r"there is no airbench94_muon\.py"):
        find(tmp_path)
    file.write_text("")
    assert find(tmp_path) == find(file) == file
