"""What the pages tell people to type runs: here all that does not train, in a folder with what it reads.

What trains is run elsewhere: the bash blocks of a page as they stand (test_commands.py), Ray on a cluster
(tests/end_to_end/test_on_a_cluster.py), each study at `quick` (tests/studies).
"""

import pickle
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from airbench_var import cli
from airbench_var.exporting import Export, export
from airbench_var.importing import Import, import_runs
from tests.data.photos import draw_folder
from tests.docs.test_commands import PAGES, ROOT, START, bash, commands
from tests.store.test_merging import shard

#: Begin of a command -> why it is not run as it stands. Every entry is needed: see the last test.
NOT_RUN = {
    r"--runs 10000": "hours on a GPU",
    r"--runs 200? --recipe tiny": "minutes; the same with fewer runs is a bash block of the tutorial",
    r"--runs 8 .* --executor ray": "needs the cluster that the lines before it start",
    r"compare --recipe tiny ": "trains until it is decided; the tutorial's is run",
    r"study finetune --scale cpu": "hours",
    r"study durations --scale quick": "tests/studies/test_study.py",
    r"--runs 60 --recipe bert-mrpc": "minutes a run; tests/cli/test_finetuning.py",
    r"--runs 1000 --recipe resnet18-imagenet": "days; tests/cli/test_photos.py",
    r"report --example ": "tests/test_example.py",
    r"bench": "measures for two minutes; tests/benchmark",
    r"doctor": "tests/test_doctor.py, which knows what to expect of this machine",
    r"import PREDICTIONS": "names of arguments, not files",
    r"export STORE": "names of arguments, not files",
}
R, N, K = 6, 203, 10


def words_of(command: str) -> list[str]:
    return shlex.split(command, comments=True)[len(START.split()) :]


def why_not(command: str) -> str:
    return next((why for begin, why in NOT_RUN.items() if re.match(begin, " ".join(words_of(command)))), "")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the pages speak of, under the names that they have there."""
    folder = tmp_path_factory.mktemp("files")
    rng = np.random.default_rng(0)
    labels_N = rng.integers(0, K, N).astype(np.uint8)
    logits_RNK = rng.normal(size=(R, N, K)).astype(np.float32) + 2 * np.eye(K, dtype=np.float32)[labels_N]
    for part in range(2):
        shard(folder / "runs" / f"airbench94-cifar10.shard-{part}-of-2", part, 2)
    shutil.copytree(ROOT / "results" / "studies" / "linear", folder / "runs" / "studies" / "linear")
    np.save(folder / "labels.npy", labels_N)
    np.save(folder / "logits.npy", logits_RNK)
    np.save(folder / "predictions.npy", logits_RNK.argmax(axis=2).astype(np.uint8))

    for name in ("tiny", "a", "b"):  # small: a report of the example takes ten seconds
        np.save(folder / f"{name}.npy", rng.permuted(logits_RNK, axis=0).argmax(axis=2).astype(np.uint8))
        labels, out = folder / "labels.npy", folder / "runs" / name
        import_runs(Import(predictions=folder / f"{name}.npy", labels=labels, out=out, test_set="cifar10"))

    for split in ("train", "val"):
        draw_folder(folder / "imagenet" / split, (2, 2))
    (folder / "data").mkdir()

    (folder / "logs").mkdir()
    for i, logits_NK in enumerate(logits_RNK):
        (folder / "logs" / f"{i}.pkl").write_bytes(pickle.dumps({"outputs": logits_NK}))
    half = torch.from_numpy(logits_RNK).half()
    log = {"code": "", "logits": half, "logits_train": half, "logits_tta": half + 0.1}
    for path, content in (
        ("logs_saveoutputs_main", log),
        ("logits/KEY", {"train_logits": half, "test_logits": half}),
    ):
        (folder / path).mkdir(parents=True)
        torch.save(content, folder / path / "log.pt")

    export(Export(store=folder / "runs" / "a", out=folder / "FOLDER", format="hf"))
    shutil.copy(folder / "FOLDER" / "cifar10" / "labels.parquet", folder)
    export(Export(store=folder / "runs" / "b", out=folder / "imported.parquet"))
    return folder


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(page.parents[1])))
def test_the_commands_of_a_page_run(
    page: Path,
    files: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In the order of the page, as a reader types them."""
    monkeypatch.chdir(shutil.copytree(files, tmp_path / "work"))
    if page.name == "import-export.md":  # its runs.parquet is what `export --out runs.parquet` wrote
        Path("imported.parquet").rename("runs.parquet")
    for command in commands(page):
        if why_not(command) or is_bash(command, page):
            continue
        words = [one for word in words_of(command) for one in expanded(word)]
        shutil.rmtree("STORE", ignore_errors=True)  # a name for one's own, that of several commands
        code = cli.main(words)
        assert code == 0, f"{command}\n{capsys.readouterr().err}"


def is_bash(command: str, page: Path) -> bool:
    """Is it one that is run by its block?"""
    return " ".join(words_of(command)) in {
        " ".join(words_of(one)) for one in re.findall(rf"{START}\b[^\n]*", bash(page).replace("\\\n", " "))
    }


def expanded(word: str) -> list[str]:
    """What a shell makes of a word with a star."""
    return sorted(map(str, Path().glob(word))) if "*" in word else [word]


def test_each_reason_is_needed() -> None:
    every = [command for page in PAGES for command in commands(page)]
    for begin in NOT_RUN:
        assert [one for one in every if re.match(begin, " ".join(words_of(one)))], begin
    assert sum(not why_not(one) for one in every) > 30
