"""The command that brings runs of somebody else's training into a store: import."""

import argparse
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from airbench_var.cli.arguments import positive
from airbench_var.cli.bars import bars
from airbench_var.cli.stores import show
from airbench_var.errors import UsageError

if TYPE_CHECKING:
    from airbench_var.analysis import LiveStatistics
    from airbench_var.importing import Imported
    from airbench_var.importing.rows import Array
    from airbench_var.store import Store

#: So many runs are looked at for mistakes that all of them, or every other, would have.
_SOME = 100
#: What scripts save of an accuracy is rounded, at most to the last whole percent.
_SAME_ACCURACY = 0.0051


def add_import(parser: argparse.ArgumentParser) -> None:
    """Add what `import` takes."""
    parser.add_argument(
        "predictions",
        type=Path,
        nargs="+",
        metavar="PREDICTIONS",
        help=".npy, .npz, .pt, .pkl, .json, .csv or .parquet: integer classes (runs, examples); or booleans "
        "(runs, examples), true where right; or floating-point logits (runs, examples, classes), of which "
        "the first largest counts; several files, or a folder of them, hold run after run in this order, "
        "those of a folder by path, run_2 before run_10",
    )
    parser.add_argument(
        "--labels",
        type=_by_key,
        action="append",
        default=[],
        metavar="[KEY=]FILE",
        help="integer classes (examples,), in any of these formats; of a folder, those of its first file; "
        "several times where test sets differ (default: those beside the predictions in their files)",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="STORE", help="the store")
    parser.add_argument(
        "--key",
        action="append",
        default=[],
        metavar="KEY",
        help="the array, of a file with several; several times for several test sets",
    )
    parser.add_argument(
        "--test-set",
        type=_by_key,
        action="append",
        default=[],
        metavar="[KEY=]NAME",
        help="what the examples are called (default test; of several, their keys)",
    )
    parser.add_argument(
        "--classes",
        type=positive,
        metavar="K",
        help="how many there are (default: those of the logits, or 1 + the largest in the files)",
    )

    parser.add_argument(
        "--keep-diverged",
        action="store_true",
        help="runs with a NaN among their logits, which counts as the largest, count as diverged "
        "(default: they are refused)",
    )


def import_(options: argparse.Namespace) -> int:
    """Bring the predictions of finished runs into a store, to be analysed, compared and planned with."""
    from airbench_var.analysis import LiveStatistics
    from airbench_var.importing import Import, import_runs
    from airbench_var.store import Store, network_warning

    wanted = Import(
        predictions=options.predictions,
        labels={key: Path(name) for key, name in _once("--labels", options.labels).items()},
        out=options.out,
        test_set=_once("--test-set", options.test_set),
        keys=options.key,
        classes=options.classes,
        keep_diverged=options.keep_diverged,
    )
    with bars(hidden=options.json) as track:
        done = import_runs(wanted, track)
    if not options.json:
        if warning := network_warning(options.out):
            print(f"warning: {warning}", file=sys.stderr)
        print(f"{_in_words(done)}; {done.added:,} of {done.runs:,} runs imported now", file=sys.stderr)
    store = Store.open(options.out)
    statistics = LiveStatistics.of_store(store)
    show(store, statistics, as_json=options.json)
    for doubt in _doubts(store, statistics, done, asked=options.classes is not None):  # last, to be seen
        print(f"warning: {doubt}", file=sys.stderr)
    return 0


def _doubts(store: "Store", statistics: "LiveStatistics", done: "Imported", *, asked: bool) -> Iterator[str]:
    """Yield what is possible, and yet more often a mistake: labels that do not fit are still labels.

    `asked`: the number of classes was given, so that more of them than labels are meant.
    """
    import numpy as np

    for test_set in done.test_sets:
        labels_N = store.labels(test_set.name)
        there = len(set(labels_N.tolist()))
        right_R = statistics.counts[test_set.name].k_R
        keeps_classes = "predicted" in store.manifest.identity["columns"]
        some_RN = store.predicted(test_set.name)[:_SOME] if keeps_classes else None
        predicted_RN = some_RN if test_set.kind == "classes" else None
        if predicted_RN is not None and there > 2 and int(predicted_RN.max()) <= 1:
            yield (
                f"no prediction on {test_set.name} is above 1, though there are {there} classes. If they say "
                "what was right, import them as booleans: array.astype(bool), into another --out."
            )
        elif there > 1 and len(guess := _that_guess(right_R[:_SOME], labels_N, some_RN)):
            advice = _which_counts_from_1(labels_N, predicted_RN) or (
                "Are these the labels of these examples, in this order, and do both count classes from 0?"
            )
            tried = min(_SOME, len(right_R))
            which = (
                "runs are" if len(guess) == tried else f"{len(guess)} of {tried} runs, first {guess[0]}, are"
            )
            yield (
                f"{which} right on {100 * float(right_R[guess].mean()) / len(labels_N):.1f} % of "
                f"{test_set.name}, no better than guessing among {there} classes. {advice}"
            )
        unlike = {
            run: said
            for run, said in (done.accuracies if len(done.test_sets) == 1 else {}).items()
            if abs(said - right_R[run] / len(labels_N)) > _SAME_ACCURACY
        }
        if unlike:
            run, said = next(iter(unlike.items()))
            yield (
                f"the file of run {run} says an accuracy of {100 * said:.2f} %, by these labels it is "
                f"{100 * right_R[run] / len(labels_N):.2f} %, and so differ {len(unlike):,} of "
                f"{len(done.accuracies):,} files. Is theirs of other examples, or are some labels not those "
                "of these?"
            )
        perfect_R = np.flatnonzero(right_R == len(labels_N))
        if there > 1 and (0 < len(perfect_R) < len(right_R) or len(perfect_R) == len(right_R) == 1):
            others = ", and others are not" if len(right_R) > 1 else ""
            yield (
                f"run {perfect_R[0]} is right on all of {test_set.name}{others}. Is it a copy of the labels, "
                "among the files of the runs?"
            )
        if predicted_RN is not None and not asked and min(int(labels_N.min()), int(predicted_RN.min())) == 1:
            yield (
                f"no label and none of the first predictions on {test_set.name} is 0, so that of the "
                f"{test_set.classes} classes one is empty. If they count from 1, subtract it from both."
            )
        elif test_set.kind == "classes" and not asked and test_set.classes > int(labels_N.max()) + 1:
            yield (
                f"class {test_set.classes - 1} is among the predictions on {test_set.name}; the largest "
                f"label is {labels_N.max()}. Do both count classes from 0?"
            )


def _that_guess(right_R: "Array", labels_N: "Array", predicted_RN: "Array | None") -> "Array":
    """Return which of some runs are no better than their classes in another order: by three standard errors.

    Where no classes are known, than one over the number of classes that there are.
    """
    import numpy as np

    n = len(labels_N)
    if predicted_RN is None:
        chance_R = np.full(len(right_R), 1 / len(set(labels_N.tolist())))
    else:
        classes = 1 + max(int(labels_N.max()), int(predicted_RN.max()))
        label_K = np.bincount(labels_N, minlength=classes) / n
        chance_R = np.array([np.bincount(row, minlength=classes) / n @ label_K for row in predicted_RN])
    return np.flatnonzero(right_R / n < chance_R + 3 * np.sqrt(chance_R * (1 - chance_R) / n))


def _which_counts_from_1(labels_N: "Array", predicted_RN: "Array | None") -> str | None:
    """Return what to do where labels and predictions do not begin at the same class, 0 or 1."""
    if predicted_RN is None or {int(labels_N.min()), int(predicted_RN.min())} != {0, 1}:
        return None
    what = "labels" if labels_N.min() else "predictions"
    return f"The {what} count from 1, it seems, and the others from 0: subtract 1, into another --out."


def _in_words(done: "Imported") -> str:
    """Return what was imported, a line for each test set."""
    names = [str(path) for path in done.files]
    files = names[0] if len(names) == 1 else f"{len(names):,} files, {names[0]} to {names[-1]}"
    seeds = ", with seeds" if done.has_seeds else ""
    lines = []
    for test_set in done.test_sets:
        name = "" if len(done.test_sets) == 1 else f" as {test_set.name}"
        size = " x ".join(f"{length:,}" for length in test_set.shape)
        lines.append(
            f"{files}{name}: {test_set.kind}, {test_set.dtype} {size}, {test_set.classes:,} classes{seeds}"
        )
    return "\n".join(lines)


def _by_key(text: str) -> tuple[str, str]:
    """Return ('logits', 'a.npy') for 'logits=a.npy', ('', 'a.npy') for 'a.npy'; './x=a.npy' is a path."""
    match = re.fullmatch(r"([\w-]+(?:[./][\w-]+)*)=(.+)", text, re.ASCII)
    return (match[1], match[2]) if match else ("", text)


def _once(option: str, pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in pairs:
        if key in found:
            which = f" for {key}" if key else ""
            raise UsageError(f"{option} is given twice{which}: {found[key]} and {value}. Leave one out.")
        found[key] = value
    return found
