"""What training scripts leave: files rebuilt from the scripts that write them; no published file was at hand.

Sources: KellerJordan/ffcv-cifar train.py and CIFAR-isolated-randomness train.py (.pkl, a run a file),
elastic-airbench save_outs.py (.pt), the README of kjj0/cifar10-multirun-logits and cifar10-airbench (log.pt).
"""

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from airbench_var.errors import DataError, DeviceError, StoreRefusedError, UsageError
from airbench_var.importing import Import, Imported, import_runs, rows
from airbench_var.store import Store
from tests.importing.inputs import K, N, R, Runs, some_runs
from tests.importing.writers import save_pickle

pytestmark = pytest.mark.usefixtures("syncs_take_no_time")


def imported(folder: Path, *names: str, **options: Any) -> Imported:
    wanted: dict[str, Any] = {"labels": folder / "labels.npy", "out": folder / "store"} | options
    return import_runs(Import(predictions=[folder / name for name in names], **wanted))


def half(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array).half()


def write_ffcv(folder: Path, runs: Runs, dtype: str = "<f2", protocol: int = 4, **more: object) -> None:
    """One .pkl a run, as ffcv-cifar names and fills them."""
    folder.mkdir(exist_ok=True)
    for i, logits_NK in enumerate(runs.logits_RNK):
        outputs = logits_NK.astype(dtype)
        log = {
            "args": {"lr": 0.5, "epochs": 64, "train_dset": "cifar_train", "w": 1.0},
            "losses": [2.3, 1.1, 0.4],
            "correct": int((outputs.argmax(axis=1) == runs.labels_N).sum()),
            "outputs": outputs,
        }
        save_pickle(folder / f"{99 - i:02d}.pkl", log | more, protocol)


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("dtype", ["<f2", "<f4"])
def test_a_folder_of_ffcv_logs_is_a_run_a_file_by_path(
    dtype: str, protocol: int, runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "BLOCK_BYTES", 5 * N * K * 4)
    write_ffcv(tmp_path / "logs", runs, dtype, protocol)
    done = imported(tmp_path, "logs")
    assert done.test_sets[0][1:4] == ("logits", np.dtype(dtype).name, (R, N, K))
    assert [path.name for path in done.files] == [f"{i:02d}.pkl" for i in range(88, 100)]
    store = Store.open(tmp_path / "store")
    predicted_RN = runs.logits_RNK.astype(dtype).argmax(axis=2)
    np.testing.assert_array_equal(store.predicted("test"), predicted_RN[::-1])
    assert [Path(name).name for name, _ in store.manifest.provenance["imported_files"]] == [
        path.name for path in done.files
    ]
    assert not done.has_seeds
    assert imported(tmp_path, "logs").added == 0


def test_files_are_runs_in_the_order_given(runs: Runs, tmp_path: Path) -> None:
    write_ffcv(tmp_path / "logs", runs, "<f4")
    imported(tmp_path, "logs/97.pkl", "logs/99.pkl")
    predicted = Store.open(tmp_path / "store").predicted("test")
    np.testing.assert_array_equal(predicted, runs.classes_RN[[2, 0]])
    with pytest.raises(StoreRefusedError, match=r"imported\.sha256"):
        imported(tmp_path, "logs/99.pkl", "logs/97.pkl")


def test_labels_in_another_order_are_found_by_the_count_of_the_file(runs: Runs, tmp_path: Path) -> None:
    write_ffcv(tmp_path / "logs", runs)
    np.save(tmp_path / "labels.npy", np.roll(runs.labels_N, 1))
    with pytest.raises(
        DataError, match=r"88.pkl, outputs: run 0: the file says that \d+ examples were right"
    ):
        imported(tmp_path, "logs")
    assert not (tmp_path / "store").exists()


def test_equal_largest_logits_may_be_counted_either_way(runs: Runs, tmp_path: Path) -> None:
    """On a GPU argmax may take any of them: one more or less than ours is no reason to refuse, two are."""
    logits_NK = runs.logits_RNK[0].copy()
    logits_NK[7] = 0
    logits_NK[7, [3, runs.labels_N[7]]] = 9
    right = int((np.delete(logits_NK, 7, 0).argmax(axis=1) == np.delete(runs.labels_N, 7)).sum())
    for correct, is_possible in ((right - 1, False), (right, True), (right + 1, True), (right + 2, False)):
        save_pickle(tmp_path / "a.pkl", {"outputs": logits_NK, "correct": correct})
        if is_possible:
            assert imported(tmp_path, "a.pkl", out=tmp_path / f"store{correct}").added == 1
        else:
            with pytest.raises(DataError, match=f"says that {correct} examples were right"):
                imported(tmp_path, "a.pkl", out=tmp_path / f"store{correct}")


def test_seeds_of_isolated_randomness_are_kept(runs: Runs, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    for i, logits_NK in enumerate(runs.logits_RNK):
        seeds = {"model_seed": i, "order_seed": 0, "aug_seed": 2**40 + i}
        correct = int((logits_NK.argmax(axis=1) == runs.labels_N).sum())
        save_pickle(tmp_path / "logs" / f"{i:02d}.pkl", seeds | {"correct": correct, "outputs": logits_NK})
    assert imported(tmp_path, "logs").has_seeds
    records = Store.open(tmp_path / "store").records()
    assert records["init_seed"].tolist() == list(range(R))
    assert not records["order_seed"].any()
    assert (records["aug_seed"] - records["init_seed"] == 2**40).all()

    save_pickle(tmp_path / "logs" / "03.pkl", {"outputs": runs.logits_RNK[3]})  # one file without: none has
    assert not imported(tmp_path, "logs", out=tmp_path / "without").has_seeds
    save_pickle(
        tmp_path / "logs" / "03.pkl",
        {"model_seed": 99, "order_seed": 0, "aug_seed": 3, "outputs": runs.logits_RNK[3]},
    )
    with pytest.raises(StoreRefusedError, match=r"imported\.seeds_sha256"):
        imported(tmp_path, "logs")


@pytest.mark.parametrize("seed", [-1, 1 << 64, 0.5, True, None])
def test_what_is_no_seed_is_refused(seed: object, runs: Runs, tmp_path: Path) -> None:
    log = {"model_seed": 0, "order_seed": seed, "aug_seed": 0, "outputs": runs.logits_RNK[0]}
    save_pickle(tmp_path / "a.pkl", log)
    with pytest.raises(DataError, match=r"order_seed is .*, which is not a seed"):
        imported(tmp_path, "a.pkl")


def log_pt(runs: Runs) -> dict[str, object]:
    """As in kjj0/cifar10-multirun-logits; `logits_tta` was seen in no text that describes it."""
    rng = np.random.default_rng(3)
    return {
        "code": "import torch\n",
        "logits": half(runs.logits_RNK),
        "logits_train": half(rng.normal(size=(R, 2 * N, K))),
        "logits_tta": half(runs.logits_RNK + rng.normal(0, 0.1, runs.logits_RNK.shape)),
    }


def test_each_tensor_that_gets_labels_is_a_test_set(runs: Runs, tmp_path: Path) -> None:
    log = log_pt(runs)
    torch.save(log, tmp_path / "log.pt")
    np.save(tmp_path / "train.npy", np.arange(2 * N) % K)
    test = tmp_path / "labels.npy"
    labels = {"logits": test, "logits_tta": test, "logits_train": tmp_path / "train.npy"}
    done = imported(
        tmp_path, "log.pt", labels=labels, test_set={"logits": "cifar10", "logits_tta": "cifar10-tta"}
    )
    assert [(one.name, one.shape) for one in done.test_sets] == [
        ("cifar10", (R, N, K)),
        ("cifar10-tta", (R, N, K)),
        ("logits_train", (R, 2 * N, K)),
    ]
    store = Store.open(tmp_path / "store")
    assert store.test_sets == ("cifar10", "cifar10-tta", "logits_train")
    for name, key in zip(store.test_sets, labels, strict=True):
        tensor = log[key]
        assert isinstance(tensor, torch.Tensor)
        np.testing.assert_array_equal(store.predicted(name), tensor.float().numpy().argmax(axis=2))
    assert set(store.manifest.identity["imported"]["further"]) == {"cifar10-tta", "logits_train"}
    assert (
        imported(
            tmp_path, "log.pt", labels=labels, test_set={"logits": "cifar10", "logits_tta": "cifar10-tta"}
        ).added
        == 0
    )
    with pytest.raises(StoreRefusedError, match="test_sets"):
        imported(tmp_path, "log.pt", keys=["logits"], test_set="cifar10")


def test_any_subset_of_the_keys_is_enough(runs: Runs, tmp_path: Path) -> None:
    for key in ("logits", "logits_tta"):
        torch.save({"code": "", key: log_pt(runs)[key]}, tmp_path / "log.pt")
        assert imported(tmp_path, "log.pt", out=tmp_path / key).added == R


def test_several_tensors_and_one_file_of_labels_are_not_clear(runs: Runs, tmp_path: Path) -> None:
    torch.save(log_pt(runs), tmp_path / "log.pt")
    found = r"code \(text\)\. Choose with --key logits, .*--labels KEY=FILE"
    with pytest.raises(UsageError, match=rf"logits_tta \(float16 \(12, 203, 10\)\), {found}"):
        imported(tmp_path, "log.pt")
    done = imported(tmp_path, "log.pt", keys=["logits_tta", "logits"])
    assert [one.name for one in done.test_sets] == ["logits_tta", "logits"]
    with pytest.raises(DataError, match=r"has 203 labels, .*logits_train has 406 examples"):
        imported(tmp_path, "log.pt", keys=["logits_train"])


def test_several_log_pt_are_runs_one_after_the_other(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks do not end where files do."""
    monkeypatch.setattr(rows, "BLOCK_BYTES", 5 * N * K * 2)
    other = some_runs(1)
    for name, of in (("b", runs), ("a", other)):
        (tmp_path / "logs" / name).mkdir(parents=True)
        torch.save({"code": "", "logits": half(of.logits_RNK)}, tmp_path / "logs" / name / "log.pt")
    assert imported(tmp_path, "logs").runs == 2 * R
    both = np.concatenate([other.logits_RNK, runs.logits_RNK]).astype(np.float16)
    store = Store.open(tmp_path / "store")
    np.testing.assert_array_equal(store.predicted("test"), both.argmax(axis=2))
    np.save(tmp_path / "both.npy", both)
    assert imported(tmp_path, "both.npy").added == 0  # the same runs in one file are the same


def test_elastic_airbench(runs: Runs, tmp_path: Path) -> None:
    log = {
        "code": "",
        "mask": torch.ones(2 * N, dtype=torch.bool),
        "train_logits": half(np.random.default_rng(0).normal(size=(R, 2 * N, K))),
        "test_logits": half(runs.logits_RNK),
    }
    torch.save(log, tmp_path / "a.pt")
    assert imported(tmp_path, "a.pt", keys=["test_logits"]).test_sets[0].name == "test"
    log["test_logits"] = half(runs.logits_RNK.mean(axis=0))  # save_outs_lrexp1.py keeps only the mean: no run
    torch.save(log, tmp_path / "mean.pt")
    with pytest.raises(DataError, match=r"test_logits is float16 \(203, 10\); predictions are"):
        imported(tmp_path, "mean.pt", keys=["test_logits"], out=tmp_path / "mean")


def test_accuracies_alone_are_refused(runs: Runs, tmp_path: Path) -> None:
    """The log.pt of cifar10-airbench."""
    torch.save({"code": "x", "accs": torch.tensor([0.94, 0.95])}, tmp_path / "log.pt")
    with pytest.raises(
        DataError, match=r"accs \(float32 \(2,\)\), code \(text\).*from accuracies alone nothing"
    ):
        imported(tmp_path, "log.pt")


class Attack:
    """Would make a file when it is unpickled."""

    def __init__(self, *call: object) -> None:
        self.call = call

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.call[0], self.call[1:]


@pytest.mark.parametrize("suffix", [".pkl", ".pt"])
@pytest.mark.parametrize("where", ["outputs", "code"])
def test_nothing_in_a_file_is_run(suffix: str, where: str, runs: Runs, tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    for attack in (
        Attack(os.mkdir, str(trace)),
        Attack(os.system, f"touch {trace}"),
        Attack(eval, f"open({str(trace)!r}, 'w')"),
        Attack(np.save, str(trace), [1]),
        Attack(torch.save, [1], str(trace)),
    ):
        log = {"outputs": runs.logits_RNK[0], "correct": 1} | {where: attack}
        path = tmp_path / f"evil{suffix}"
        if suffix == ".pt":
            torch.save({key: half(v) if isinstance(v, np.ndarray) else v for key, v in log.items()}, path)
        else:
            path.write_bytes(pickle.dumps(log))
        with pytest.raises(DataError, match=rf"evil\{suffix}.*nothing of it was run") as caught:
            imported(tmp_path, path.name)
        assert "weights_only=False" not in str(caught.value)
        assert not trace.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"evil{suffix}", "labels.npy"]


def test_a_pickled_tensor_is_refused_with_what_to_do(runs: Runs, tmp_path: Path) -> None:
    save_pickle(tmp_path / "a.pkl", {"outputs": half(runs.logits_RNK[0])})
    with pytest.raises(DataError, match=r"asks for torch.*refused.*numpy\.save"):
        imported(tmp_path, "a.pkl")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"outputs": np.zeros((N, K), np.float32)}, r"01.pkl, outputs is float32 .*one shape and type"),
        ({"outputs": np.zeros((N + 1, K), np.float16)}, "01.pkl, outputs 204: of the shorter one"),
        ({"outputs": np.full((N, K), np.nan, np.float16)}, r"01.pkl, outputs: run 0, example 0: .*NaN"),
        ({"outputs": [1, 2]}, "01.pkl: outputs is not an array as in .*00.pkl: list of 2"),
        (
            {"outputs": np.array([["a"]])},
            "outputs is not an array as in .*00.pkl: .*an array of <U1, expected integers or floating",
        ),
        (
            {"outputs": np.zeros((0, K), np.float16)},
            "outputs is not an array as in .*00.pkl: .*01.pkl, outputs is empty",
        ),
    ],
)
def test_a_file_unlike_the_first_is_named(
    change: dict[str, object], message: str, runs: Runs, tmp_path: Path
) -> None:
    (tmp_path / "logs").mkdir()
    for i in range(3):
        log = {"outputs": runs.logits_RNK[i].astype(np.float16)} | (change if i == 1 else {})
        save_pickle(tmp_path / "logs" / f"{i:02d}.pkl", log)
    with pytest.raises(DataError, match=message):
        imported(tmp_path, "logs")
    assert not (tmp_path / "store").exists()


def test_the_same_run_twice_is_refused(runs: Runs, tmp_path: Path) -> None:
    write_ffcv(tmp_path / "logs", runs)
    (tmp_path / "logs" / "link.pkl").symlink_to("90.pkl")
    with pytest.raises(DataError, match=r"link.pkl is given twice"):
        imported(tmp_path, "logs")
    (tmp_path / "logs" / "link.pkl").unlink()
    (tmp_path / "logs" / "copy.pkl").write_bytes((tmp_path / "logs" / "90.pkl").read_bytes())
    with pytest.raises(DataError, match=r"90.pkl and .*copy.pkl hold the same predictions"):
        imported(tmp_path, "logs")
    assert not (tmp_path / "store").exists()


def test_equal_predictions_with_other_seeds_are_two_runs(runs: Runs, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    for i in range(2):
        log = {"model_seed": i, "order_seed": 0, "aug_seed": 0, "outputs": runs.logits_RNK[0]}
        save_pickle(tmp_path / "logs" / f"{i}.pkl", log)
    assert imported(tmp_path, "logs").added == 2


def test_a_folder_of_several_formats_is_not_clear(runs: Runs, tmp_path: Path) -> None:
    write_ffcv(tmp_path / "logs", runs)
    np.save(tmp_path / "logs" / "labels.npy", runs.labels_N)
    with pytest.raises(DataError, match=r"logs has 1 \.npy, 12 \.pkl; a folder has files of one format"):
        imported(tmp_path, "logs")
    (tmp_path / "logs" / "data.arrow").touch()
    with pytest.raises(DataError, match=r"logs is a data set as .* \(data\.arrow\).*to_parquet"):
        imported(tmp_path, "logs")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty has no files that can be read"):
        imported(tmp_path, "empty")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            [torch.zeros(2, 3), "a"],
            r"holds a list of 2, not an array or a dict of arrays\. Save .*numpy\.array\(",
        ),
        (
            [torch.zeros(128, K), torch.zeros(75, K)],
            r"number 0 is torch\.float32 \(128, 10\), number 1 .*numpy\.concatenate\(LIST\)\[None\]",
        ),
        ([{"pred": torch.zeros(2)}], r"Save .*numpy\.stack\(\[run\[KEY\] for run in LIST\]\)"),
        (
            {i: torch.zeros(7, K) for i in range(20)},
            r"and 12 more\..* If each array is one run, .*numpy\.stack",
        ),
        ({"a": torch.zeros(2, 3, 4, dtype=torch.complex64)}, r"It has a \(.*of torch\.complex64, torch\.st"),
        ({"a": torch.zeros(2, 3, 4).to_sparse()}, r"It has a \(.*torch\.sparse_coo, on cpu"),
        ({"a": torch.zeros(2, 3, 4, device="meta")}, r"It has a \(.*torch\.strided, on meta"),
        (
            [torch.zeros(7, dtype=torch.uint16)] * 3,
            r"a\.pt has a tensor of torch\.uint16, torch\.strided, on",
        ),
        ({"a": [torch.zeros(7, dtype=torch.uint16)] * 3}, r"a \(.*, a has a tensor of torch\.uint16"),
        (torch.tensor(0.94), "holds one number, 0.9"),
        ({"a": {"b": torch.zeros(2, 3, 4)}}, r"It has a \(dict of 1\)"),
    ],
)
def test_what_a_pt_may_not_hold(value: object, message: str, runs: Runs, tmp_path: Path) -> None:
    torch.save(value, tmp_path / "a.pt")
    with pytest.raises(DataError, match=message):
        imported(tmp_path, "a.pt")


def test_a_tensor_larger_than_what_the_file_holds_of_it_is_refused(runs: Runs, tmp_path: Path) -> None:
    """A kilobyte could be read for days."""
    endless = torch.zeros(1, 1, K).expand(10**9, N, K)
    message = r"is float32 \(1000000000, 203, 10\), of which the file holds only 40 bytes"
    torch.save(endless, tmp_path / "a.pt")
    with pytest.raises(DataError, match=message):
        imported(tmp_path, "a.pt")
    torch.save({"logits": half(runs.logits_RNK), "other": endless}, tmp_path / "b.pt")
    with pytest.raises(DataError, match=message):
        imported(tmp_path, "b.pt", keys=["other"])
    assert imported(tmp_path, "b.pt").added == R


def test_bfloat16_views_and_gradients(runs: Runs, tmp_path: Path) -> None:
    """A view is saved with all of what it is a view of; bfloat16 has no counterpart in NumPy."""
    logits = torch.from_numpy(runs.logits_RNK)
    for name, tensor in {
        "bfloat16": logits.bfloat16(),
        "slice": torch.cat([logits, logits + 1])[3:9, :, 1:],
        "transposed": logits.permute(2, 0, 1).contiguous().permute(1, 2, 0),
        "grad": logits.clone().requires_grad_(),
    }.items():
        torch.save({"logits": tensor}, tmp_path / "a.pt")
        np.save(tmp_path / "labels.npy", runs.labels_N % tensor.shape[2])
        imported(tmp_path, "a.pt", out=tmp_path / name)
        expected = tensor.detach().float().numpy().argmax(axis=2)
        np.testing.assert_array_equal(Store.open(tmp_path / name).predicted("test"), expected)


@pytest.mark.parametrize("key", ["", "logits", 3])
@pytest.mark.parametrize("suffix", [".pkl", ".pt"])
def test_a_list_of_one_array_a_run(
    suffix: str, key: object, runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a list, or a dict of one, whose key may be a number; five runs at a time."""
    monkeypatch.setattr(rows, "BLOCK_BYTES", 5 * runs.logits_RNK[0].nbytes)
    several: list[object] = (
        [*map(torch.from_numpy, runs.logits_RNK)] if suffix == ".pt" else [*runs.logits_RNK]
    )
    value = {key: several, "epochs": 3} if key else several
    path = tmp_path / f"a{suffix}"
    torch.save(value, path) if suffix == ".pt" else save_pickle(path, value)
    assert imported(tmp_path, path.name).added == R
    np.testing.assert_array_equal(Store.open(tmp_path / "store").predicted("test"), runs.classes_RN)


def test_half_counts_are_no_counts_beyond_2048(runs: Runs, tmp_path: Path) -> None:
    """As float16 the 4,001 that were right are 4,000."""
    labels_N = np.zeros(4001, np.int64)
    np.save(tmp_path / "labels.npy", labels_N)
    outputs = torch.ones(4001, 1)
    for name, correct in {"0-d": torch.tensor(4001.0), "1-d": torch.tensor([4001.0])}.items():
        torch.save({"outputs": outputs, "correct": correct.half()}, tmp_path / "a.pt")
        assert imported(tmp_path, "a.pt", out=tmp_path / name).added == 1
    torch.save({"outputs": outputs, "correct": torch.tensor(4000.0)}, tmp_path / "a.pt")
    with pytest.raises(DataError, match="says that 4,000 examples were right"):
        imported(tmp_path, "a.pt")


@pytest.mark.parametrize(("version", "is_safe"), [("2.9.1+cpu", False), ("2.10.0", True)])
def test_a_torch_whose_reader_is_not_safe_is_not_used(
    version: str, is_safe: bool, runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(half(runs.logits_RNK), tmp_path / "a.pt")
    monkeypatch.setattr(torch, "__version__", version)
    if is_safe:
        assert imported(tmp_path, "a.pt").added == R
        return
    monkeypatch.delattr(torch, "load")
    with pytest.raises(DeviceError, match=r"a\.pt: PyTorch 2\.9\.1.*CVE-2026-24747.*Upgrade.*numpy\.save"):
        imported(tmp_path, "a.pt")


def test_the_format_before_torch_1_6_is_refused_with_what_to_do(runs: Runs, tmp_path: Path) -> None:
    torch.save({"logits": half(runs.logits_RNK)}, tmp_path / "a.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(DataError, match=r"before PyTorch 1\.6.*save it again"):
        imported(tmp_path, "a.pt")
