import hashlib
import inspect
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from airbench_var import analyze, machine, own, run_many
from airbench_var.errors import StoreRefusedError, UsageError
from airbench_var.execution import Placement
from airbench_var.execution.contract import WorkerError
from airbench_var.own import own_function
from airbench_var.seeds import Seeds, seeds_of_run
from airbench_var.store import Store

LABELS = np.random.default_rng(0).integers(0, 3, 101)
POOL = Placement(executor="pool", workers=2)


def classes(seeds: Seeds, labels_N: np.ndarray = LABELS) -> np.ndarray:
    """Answer like a run that is right on about 80 %; integers of any width will do."""
    generator = np.random.default_rng(seeds.init)
    return np.where(generator.random(len(labels_N)) < 0.8, labels_N, (labels_N + 1) % 3)


def logits(seeds: Seeds) -> np.ndarray:
    """Answer the same, as logits of which some are equal and some infinite."""
    found = np.full((len(LABELS), 3), -np.inf, np.float32)
    found[np.arange(len(LABELS)), classes(seeds)] = 1.5
    return found


def on_two(seeds: Seeds) -> dict[str, np.ndarray]:
    return {"second": classes(seeds)[:50], "first": classes(seeds)}


def diverges(seeds: Seeds) -> np.ndarray:
    found = logits(seeds)
    if seeds == seeds_of_run(0, 1):
        found[0] = [0, np.nan, 2]
        found[1] = np.nan
    return found


def fails(seeds: Seeds) -> np.ndarray:
    if seeds == seeds_of_run(0, 2):
        raise ZeroDivisionError("mine")
    return classes(seeds)


#: The note on what `fails` raises.
CALLED = f"raised by a run of fails, which was called with {seeds_of_run(0, 2)}"


def source_sha256(function: object) -> str:
    return hashlib.sha256(inspect.getsource(function).encode()).hexdigest()  # type: ignore[arg-type]


def matrices(store: Store) -> dict[str, bytes]:
    return {
        str(file.relative_to(store.path)): file.read_bytes() for file in sorted(store.path.glob("*/*.npy"))
    }


def test_a_store_has_what_the_function_answers(tmp_path: Path) -> None:
    store = run_many(classes, LABELS, runs=4, out=tmp_path / "own", show="quiet")
    expected_RN = np.stack([classes(seeds_of_run(0, run_id)) for run_id in range(4)])
    assert (store.predicted("test") == expected_RN).all()
    assert (store.correct_RN("test") == (expected_RN == LABELS)).all()
    assert store.labels("test").tolist() == LABELS.tolist()
    records = store.records()
    assert (records["train_s"] >= 0).all()
    assert np.isnan(records["loss"]).all()  # nobody asks for it
    assert not records["diverged"].any()
    assert [int(seed) for seed in records["init_seed"]] == [seeds_of_run(0, i).init for i in range(4)]
    assert analyze(store).test_sets[0].estimates["mean_accuracy"].value == pytest.approx(
        (expected_RN == LABELS).mean()
    )


def test_where_runs_come_from_is_noted(tmp_path: Path) -> None:
    def slow(seeds: Seeds) -> np.ndarray:
        time.sleep(0.02)
        return classes(seeds)

    how = {"packages": ("pytest",), "vary": ("order",), "show": "quiet"}
    store = run_many(slow, LABELS, runs=2, out=tmp_path / "own", **how)  # type: ignore[arg-type]
    found = store.manifest.provenance
    assert [*found["versions"]] == ["airbench_var", "numpy", "pytest"]
    assert found["versions"]["pytest"] == pytest.__version__
    assert (found["device"], found["driver"]) == (machine.cpu_name(), machine.nvidia_driver())
    assert found["source_sha256"] == source_sha256(slow)
    records = store.records()
    assert (records["train_s"] >= 0.02).all()
    for stream, varied in (("init", False), ("order", True), ("aug", False)):
        assert (records[f"{stream}_seed"][0] != records[f"{stream}_seed"][1]) == varied


def test_logits_are_judged_by_the_first_largest(tmp_path: Path) -> None:
    a = run_many(classes, LABELS, runs=3, out=tmp_path / "a", show="quiet")
    b = run_many(logits, LABELS, runs=3, out=tmp_path / "b", show="quiet")
    assert matrices(a) == matrices(b)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "uint64"])
def test_classes_may_be_integers_of_any_kind(dtype: str, tmp_path: Path) -> None:
    a = run_many(classes, LABELS, runs=2, out=tmp_path / "a", show="quiet")
    kind = {"name": "kind", "show": "quiet"}
    b = run_many(lambda s: classes(s).astype(dtype), LABELS.astype(dtype), runs=2, out=tmp_path / "b", **kind)  # type: ignore[arg-type]
    assert matrices(a) == matrices(b)


def test_of_many_classes_the_store_keeps_what_was_right(tmp_path: Path) -> None:
    """Cut to a byte, class 256 would be class 0."""
    labels_N = np.arange(400)
    said_N = np.where(labels_N % 3 == 0, (labels_N + 256) % 512, labels_N)
    logits_NK = said_N[:, None] == np.arange(512)
    for name, answer in (("whole", said_N), ("logits", logits_NK.astype(np.float32))):
        store = run_many(
            lambda _, answer=answer: answer,  # type: ignore[misc]
            labels_N,
            runs=1,
            out=tmp_path / name,
            name=name,
            classes=512,
            show="quiet",
        )
        assert store.manifest.identity["columns"] == ["correct"]
        np.testing.assert_array_equal(store.labels("test"), labels_N)
        np.testing.assert_array_equal(store.correct_RN("test"), [labels_N % 3 != 0])


@pytest.mark.parametrize(
    ("classes_", "names"),
    [
        (None, ("0", "1", "2")),
        (256, tuple(map(str, range(256)))),
        (["cat", "dog", "fox"], ("cat", "dog", "fox")),
    ],
)
def test_classes_by_number_or_by_name(classes_: object, names: tuple[str, ...]) -> None:
    labels = {"first": np.zeros(4, int), "second": np.array([0, 2, 1])}
    assert own_function(on_two, labels, classes=classes_).classes == names  # type: ignore[arg-type]


def test_the_same_call_again_goes_on_and_then_does_nothing(tmp_path: Path) -> None:
    calls = []

    def counted(seeds: Seeds) -> np.ndarray:
        calls.append(seeds)
        return classes(seeds)

    for runs, expected in ((2, 2), (5, 5), (5, 5)):
        run_many(counted, LABELS, runs=runs, out=tmp_path / "own", show="quiet")
        assert len(calls) == expected
    assert calls == [seeds_of_run(0, run_id) for run_id in range(5)]


def test_processes_make_the_same_store(tmp_path: Path) -> None:
    here = run_many(classes, LABELS, runs=5, out=tmp_path / "here", show="quiet")
    pool = run_many(classes, LABELS, runs=5, out=tmp_path / "pool", placement=POOL, show="quiet")
    assert matrices(here) == matrices(pool)


def test_several_test_sets(tmp_path: Path) -> None:
    labels = {"first": LABELS, "second": LABELS[:50]}
    store = run_many(on_two, labels, runs=2, out=tmp_path / "own", show="quiet")
    assert store.test_sets == ("first", "second")
    assert (store.correct_RN("second") == store.correct_RN("first")[:, :50]).all()


def test_a_logit_that_is_no_number_diverged_and_counts_as_the_largest(tmp_path: Path) -> None:
    store = run_many(diverges, LABELS, runs=3, out=tmp_path / "own", show="quiet")
    assert store.records()["diverged"].tolist() == [0, 1, 0]
    assert store.predicted("test")[1, :2].tolist() == [1, 0]


@pytest.mark.parametrize("where", ["first", "second"])
def test_a_nan_on_one_test_set_is_enough_to_diverge(where: str, tmp_path: Path) -> None:
    def answer(seeds: Seeds) -> dict[str, np.ndarray]:
        return {name: diverges(seeds) if name == where else logits(seeds) for name in ("first", "second")}

    labels = {"first": LABELS, "second": LABELS}
    store = run_many(answer, labels, runs=3, out=tmp_path / "own", show="quiet")
    assert store.records()["diverged"].tolist() == [0, 1, 0]


def test_an_exception_keeps_what_was_finished(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError, match="mine") as raised:
        run_many(fails, LABELS, runs=5, out=tmp_path / "own", show="quiet")
    assert raised.value.__notes__ == [CALLED]
    assert Store.open(tmp_path / "own").committed_ids().tolist() == [0, 1]


def test_an_answer_that_is_refused_is_told_without_the_way_through_here(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as raised:
        run_many(lambda _: None, LABELS, runs=1, out=tmp_path / "own", name="own", show="quiet")  # type: ignore[arg-type,return-value]
    files = [Path(frame.path).name for frame in raised.traceback]
    assert files == ["test_own.py", "own.py"]
    assert raised.value.__suppress_context__


def test_an_exception_in_a_process_says_which_run_it_was(tmp_path: Path) -> None:
    with pytest.raises(WorkerError) as raised:
        run_many(fails, LABELS, runs=5, out=tmp_path / "own", placement=POOL, show="quiet")
    assert "ZeroDivisionError: mine" in str(raised.value)
    assert CALLED in str(raised.value)


def test_an_unknown_way_to_show_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="show='none' is none of auto, plain, json, quiet"):
        run_many(classes, LABELS, runs=2, out=tmp_path / "own", show="none")  # type: ignore[arg-type]
    assert not (tmp_path / "own").exists()


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"settings": {"lr": 0.2}}, r"function\.settings\.lr: 0\.1 in the store, 0\.2 now"),
        (
            {"settings": {"lr": 0.1}, "name": "other"},
            "runs of the function classes, and this command makes runs of",
        ),
        ({"settings": {"lr": 0.1}, "seed": 1}, "seed: 0 in the store, 1 now"),
        ({"settings": {"lr": 0.1}, "labels": (LABELS + 1) % 3}, "labels_sha256"),
        ({"settings": {"lr": 0.1}, "classes": 5}, r"classes"),
    ],
)
def test_another_function_is_refused(tmp_path: Path, change: dict[str, object], what: str) -> None:
    run_many(classes, LABELS, runs=2, out=tmp_path / "own", settings={"lr": 0.1}, show="quiet")
    asked = {"labels": LABELS, "runs": 2, "out": tmp_path / "own", "show": "quiet"} | change
    with pytest.raises(StoreRefusedError, match=what):
        run_many(classes, **asked)  # type: ignore[arg-type]


def test_settings_are_the_same_after_they_were_written(tmp_path: Path) -> None:
    for _ in range(2):
        settings = {"widths": (1, 2), 3: None}
        run_many(classes, LABELS, runs=1, out=tmp_path / "own", settings=settings, show="quiet")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (LABELS[:-1], r"own on test answers int64 \(100,\); wanted are integer classes \(101,\) or"),
        (np.zeros((101, 4)), r"answers float64 \(101, 4\); wanted"),
        (
            LABELS * 2.0,
            r"answers float64 \(101,\); .*If these are classes, return array\.astype\(int\)",
        ),
        (LABELS - 1, "answers class -1; classes are 0 to 2"),
        (LABELS + 1, "answers class 3; classes are 0 to 2"),
        (LABELS + 256, "answers class 2"),
        ({"tset": LABELS}, "own answers on tset; the test sets are test"),
        (None, r"answers nothing \(None\); wanted are"),
        (
            0.93,
            r"answers a single float64; wanted .*\. Return what is predicted for each example, not one nu",
        ),
        (
            LABELS == 1,
            r"answers bool \(101,\); wanted .*\. Return the predicted classes; what was right alone",
        ),
    ],
)
def test_an_answer_that_fits_no_test_set(tmp_path: Path, answer: object, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        run_many(lambda _: answer, LABELS, runs=1, out=tmp_path / "own", name="own", show="quiet")  # type: ignore[arg-type,return-value]


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (
            {"first": LABELS},
            "own answers on first; the test sets are first, second. Return one array for each",
        ),
        ({"first": LABELS, "second": LABELS, "x": LABELS}, "own answers on first, second, x; the test"),
        ({}, "own answers on nothing"),
        (LABELS, "the test sets are first, second"),
    ],
)
def test_an_answer_for_other_test_sets(tmp_path: Path, answer: object, what: str) -> None:
    labels = {"first": LABELS, "second": LABELS}
    with pytest.raises(UsageError, match=what):
        run_many(lambda _: answer, labels, runs=1, out=tmp_path / "own", name="own", show="quiet")  # type: ignore[arg-type,return-value]


@pytest.mark.parametrize(
    ("asked", "what"),
    [
        ({"labels": LABELS / 2}, r"labels of test are float64 \(101,\); wanted are integers"),
        ({"labels": np.zeros((0,), int)}, "wanted are integers"),
        ({"labels": LABELS[:, None]}, r"labels of test are int64 \(101, 1\); wanted are integers"),
        ({"labels": {}}, "name no test set"),
        ({"labels": LABELS - 1}, "a label of test is -1; of 2 classes labels are 0 to 1"),
        ({"labels": LABELS, "classes": 2}, "a label of test is 2; of 2 classes"),
        ({"labels": LABELS * 40_000}, "there are 80,001 classes; a store takes 1 to 65,536"),
        ({"labels": LABELS, "classes": []}, "there are 0 classes"),
        ({"labels": LABELS, "classes": 0}, "classes is 0; wanted is a whole number"),
        ({"labels": LABELS, "classes": 3.5}, r"classes is 3\.5; wanted is a whole number"),
        ({"labels": LABELS, "classes": "cat"}, "classes is 'cat'; wanted is how many there are, or a list"),
        ({"labels": LABELS, "settings": {"f": print}}, "settings are kept as JSON"),
        ({"labels": LABELS, "settings": {"lr": float("nan")}}, "settings are kept as JSON"),
    ],
)
def test_what_no_store_can_take(tmp_path: Path, asked: dict[str, object], what: str) -> None:
    with pytest.raises(UsageError, match=what):
        run_many(classes, runs=1, out=tmp_path / "own", show="quiet", **asked)  # type: ignore[arg-type]
    assert not (tmp_path / "own").exists()


def test_classes_are_a_number_of_any_library_or_names(tmp_path: Path) -> None:
    for name, given in (("number", LABELS.max() + 1), ("names", np.array(["0", "1", "2"]))):
        store = run_many(classes, LABELS, runs=1, out=tmp_path / name, classes=given, show="quiet")  # type: ignore[arg-type]
        assert store.manifest.test_sets[0].classes == ("0", "1", "2")


@pytest.mark.parametrize("of", ["bfloat16", "with a gradient"])
def test_a_tensor_that_numpy_does_not_take(tmp_path: Path, of: str) -> None:
    torch = pytest.importorskip("torch")
    how = {"dtype": torch.bfloat16} if of == "bfloat16" else {"requires_grad": True}
    answer = torch.zeros((len(LABELS), 3), **how)
    with pytest.raises(UsageError, match=r"answers a Tensor .*return tensor\.detach\(\)\.float\(\)\.cpu\(\)"):
        run_many(lambda _: answer, LABELS, runs=1, out=tmp_path / "own", name="own", show="quiet")
    taken = run_many(
        lambda _: answer.detach().float().cpu().numpy(),
        LABELS,
        runs=1,
        out=tmp_path / "taken",
        name="own",
        show="quiet",
    )
    assert len(taken.committed_ids()) == 1


def test_a_function_without_a_name_needs_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no name"):
        run_many(lambda seeds: classes(seeds), LABELS, runs=1, out=tmp_path / "own", show="quiet")
    store = run_many(partial(classes, labels_N=LABELS), LABELS, runs=1, out=tmp_path / "own", show="quiet")
    assert store.manifest.identity["function"]["name"] == "classes"
    assert store.manifest.provenance["source_sha256"] == source_sha256(classes)


class Network:
    def __call__(self, seeds: Seeds) -> np.ndarray:
        return classes(seeds)


def test_a_function_without_a_source(tmp_path: Path) -> None:
    typed = eval("lambda seeds: answer(seeds)", {"answer": classes})
    for name, function in (("typed", typed), ("object", Network())):
        store = run_many(function, LABELS, runs=1, out=tmp_path / name, name=name, show="quiet")
        assert store.manifest.provenance["source_sha256"] is None
        assert store.manifest.identity["function"]["name"] == name


def test_what_was_typed_in_is_run_here_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def mine(seeds: Seeds) -> np.ndarray:
        return classes(seeds)

    mine.__module__ = "__main__"
    monkeypatch.setattr(sys.modules["__main__"], "__file__", "script.py", raising=False)
    assert not own._known_here_alone(mine)  # it is in a script
    monkeypatch.delattr(sys.modules["__main__"], "__file__")
    with pytest.raises(UsageError, match="or leave out `placement`"):
        run_many(mine, LABELS, runs=1, out=tmp_path / "own", placement=POOL, show="quiet")
    assert run_many(mine, LABELS, runs=1, out=tmp_path / "own", show="quiet").committed_ids().tolist() == [0]


def test_a_function_that_no_process_could_find(tmp_path: Path) -> None:
    def within(seeds: Seeds) -> np.ndarray:
        return classes(seeds)

    with pytest.raises(UsageError, match="cannot be sent to other processes"):
        run_many(within, LABELS, runs=1, out=tmp_path / "within", placement=POOL, show="quiet")
    assert len(run_many(within, LABELS, runs=1, out=tmp_path / "within", show="quiet").committed_ids()) == 1
    script = """
import numpy as np
from airbench_var import Placement, run_many
def mine(seeds):
    return np.zeros(9, int)
run_many(mine, np.arange(9) % 3, runs=1, out="own", placement=Placement(executor="pool", workers=2))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert "defined at a prompt or in a notebook" in done.stderr
    assert not (tmp_path / "own").exists()


def test_a_changed_source_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_many(classes, LABELS, runs=1, out=tmp_path / "own", show="quiet")
    run_many(fails, LABELS, runs=2, out=tmp_path / "own", name="classes", show="plain")
    assert (
        "note: the source of your function is another than when the store was made" in capsys.readouterr().err
    )


def test_the_integers_of_numpy_are_those_of_python(tmp_path: Path) -> None:
    for runs in (np.int64(2), np.int64(4)):  # the second call makes the store longer
        seed = np.uint64(2**64 - 1)
        run_many(classes, LABELS, runs=runs, seed=seed, out=tmp_path / "own", show="quiet")  # type: ignore[arg-type]
    store = Store.open(tmp_path / "own")
    assert len(store.committed_ids()) == 4
    assert store.manifest.identity["seed"] == 2**64 - 1


@pytest.mark.parametrize(
    ("asked", "what"),
    [
        ({"runs": 2.0}, r"runs is 2\.0; wanted is a whole number of 1 or more"),
        ({"runs": 0}, "runs is 0"),
        ({"seed": -1}, "seed is -1; wanted is a whole number of 0 or more"),
        ({"seed": "7"}, "seed is '7'"),
        ({"vary": ("ordr",)}, "'ordr' is no source of randomness.*did you mean 'order'"),
        ({"vary": ()}, "all runs would be equal"),
    ],
)
def test_a_campaign_that_is_none(tmp_path: Path, asked: dict[str, object], what: str) -> None:
    with pytest.raises(UsageError, match=what):
        run_many(classes, LABELS, out=tmp_path / "own", show="quiet", **{"runs": 2} | asked)  # type: ignore[arg-type]
    assert not (tmp_path / "own").exists()


def test_what_varies_is_a_name_or_names_in_any_order(tmp_path: Path) -> None:
    for name, vary in (("one", "init"), ("two", ("aug", "init"))):
        store = run_many(classes, LABELS, runs=1, out=tmp_path / name, vary=vary, show="quiet")  # type: ignore[arg-type]
        assert store.manifest.identity["vary"] == {"one": ["init"], "two": ["init", "aug"]}[name]
