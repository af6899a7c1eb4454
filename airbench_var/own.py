"""Bring your own network: a function of seeds, of any framework, run as a campaign; no torch is loaded."""

import hashlib
import inspect
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from airbench_var import machine
from airbench_var.campaign import Campaign, run_campaign
from airbench_var.errors import AirbenchVarError, UsageError, whole_number
from airbench_var.execution import HERE, Placement
from airbench_var.report.display import Mode, refuse_unknown_mode
from airbench_var.seeds import STREAMS, Seeds
from airbench_var.store import Predictions, RunResult, Store
from airbench_var.store.rows import MOST_LABELS, label_dtype

Labels = npt.NDArray[Any]  #: of the type that `label_dtype` says

#: What a run answers on one test set: predicted classes, integers (N,), or logits, floating point (N, K).
Answer = npt.ArrayLike
TrainOne = Callable[[Seeds], Answer | Mapping[str, Answer]]


@dataclass(frozen=True, kw_only=True)
class OwnFunction:
    """Somebody's own training as what a campaign is of: a `Subject`.

    The code of the function cannot be compared: what must match when a store is opened again is its name,
    `settings` and the labels. So put into `settings` whatever changes what a run answers.
    """

    train_one: TrainOne
    labels: Mapping[str, Labels]  #: (N,) of every test set, by name
    classes: tuple[str, ...]
    name: str
    settings: Mapping[str, Any]  #: JSON values, such as {"lr": 0.1}
    packages: tuple[str, ...] = ()  #: whose versions are noted, such as ("scikit-learn",)

    @property
    def title(self) -> str:
        """Its name, for people."""
        return self.name

    def refuse_misfit(self) -> None:
        """Do nothing: only the function itself knows."""

    def identity(self) -> dict[str, Any]:
        """Return its name and settings, as JSON values."""
        return {"function": {"name": self.name, "settings": dict(self.settings)}}

    def provenance(self) -> dict[str, Any]:
        """Return where the runs come from, for people; never compared."""
        return {
            "device": machine.cpu_name(),
            "driver": machine.nvidia_driver(),
            "source_sha256": _source_sha256(self.train_one),
            **machine.origin("airbench_var", "numpy", *self.packages),
        }

    def make_train(self, *, workers_see_one_gpu: bool) -> Callable[[], Callable[[Seeds], RunResult]]:
        """Return what prepares the training of runs in a worker; picklable if the function is."""
        return partial(_Training, self)


class _Training:
    """The function in a worker."""

    def __init__(self, own: OwnFunction) -> None:
        self.own = own

    def __call__(self, seeds: Seeds) -> RunResult:
        try:
            return self._run(seeds)
        except Exception as error:
            error.add_note(f"raised by a run of {self.own.name}, which was called with {seeds}")
            raise

    def _run(self, seeds: Seeds) -> RunResult:
        start_s = time.perf_counter()
        answers = self.own.train_one(seeds)
        train_s = time.perf_counter() - start_s
        labels = self.own.labels
        by_name = answers if isinstance(answers, Mapping) else {next(iter(labels)): answers}
        if set(by_name) != set(labels):
            raise UsageError(
                f"{self.own.name} answers on {', '.join(map(str, by_name)) or 'nothing'}; the test sets are "
                f"{', '.join(labels)}. Return one array for each: a mapping from names."
            )
        judged = {
            name: _judge(f"{self.own.name} on {name}", by_name[name], labels_N, len(self.own.classes))
            for name, labels_N in labels.items()
        }
        return RunResult(
            predictions={name: predictions for name, (predictions, _) in judged.items()},
            loss=math.nan,
            diverged=any(not finite for _, finite in judged.values()),
            train_s=train_s,
        )


def _judge(what: str, answer: Answer, labels_N: Labels, classes: int) -> tuple[Predictions, bool]:
    """Return what a store keeps of an answer, and whether no logit is NaN; raises UsageError."""
    array = _array(what, answer)
    wanted = f"integer classes ({len(labels_N)},) or floating-point logits ({len(labels_N)}, {classes})"
    if array.dtype.kind in "iu" and array.shape == labels_N.shape:
        outside = array[(array < 0) | (array >= classes)]
        if len(outside):
            raise UsageError(f"{what} answers class {outside[0]}; classes are 0 to {classes - 1}.")
        predicted_N, finite = array, True
    elif array.dtype.kind == "f" and array.shape == (len(labels_N), classes):
        finite = not np.isnan(array).any()
        predicted_N = array.argmax(axis=1)  # NaN counts as the largest, as in training
    else:
        hint = ""
        if array.ndim == 0:
            hint = " Return what is predicted for each example, not one number for all."
        elif array.dtype.kind == "f" and array.shape == labels_N.shape:
            hint = " If these are classes, return array.astype(int)."
        elif array.dtype.kind == "b":
            hint = " Return the predicted classes; what was right alone can be imported (`import --help`)."
        raise UsageError(f"{what} answers {_described(array)}; wanted are {wanted}.{hint}")
    return Predictions.of_classes(predicted_N.astype(label_dtype(classes)), labels_N), finite


def _array(what: str, answer: Answer) -> npt.NDArray[Any]:
    try:
        return np.asarray(answer)
    except (TypeError, RuntimeError, ValueError) as error:  # as torch's tensors on a GPU, or with a gradient
        hint = " Of a tensor of PyTorch return tensor.detach().float().cpu().numpy()."
        why = str(error).rstrip(".")
        raise UsageError(
            f"{what} answers a {type(answer).__name__} of which NumPy makes no array: {why}."
            f"{hint if hasattr(answer, 'detach') else ''}"
        ) from error


def _described(array: npt.NDArray[Any]) -> str:
    if array.ndim:
        return f"{array.dtype} {array.shape}"
    return "nothing (None)" if array.item() is None else f"a single {array.dtype}"


def own_function(
    train_one: TrainOne,
    labels: npt.ArrayLike | Mapping[str, npt.ArrayLike],
    *,
    name: str = "",
    settings: Mapping[str, Any] | None = None,
    classes: int | Sequence[str] | None = None,
    packages: Sequence[str] = (),
) -> OwnFunction:
    """Return a function with the labels (N,) of its test set, or of several by name, as a `Subject`.

    Raises: UsageError for labels, classes or settings that a store cannot take.
    """
    by_name = labels if isinstance(labels, Mapping) else {"test": labels}
    arrays = {str(test_set): np.asarray(one) for test_set, one in by_name.items()}
    for test_set, labels_N in arrays.items():
        if labels_N.dtype.kind not in "iu" or labels_N.ndim != 1 or not len(labels_N):
            raise UsageError(
                f"labels of {test_set} are {labels_N.dtype} {labels_N.shape}; wanted are integers (N,)."
            )
    if not arrays:
        raise UsageError("labels name no test set; at least one is needed.")
    if classes is None:
        classes = 1 + max(int(labels_N.max()) for labels_N in arrays.values())
    if isinstance(classes, str):  # its letters would be taken for names
        raise UsageError(f"classes is {classes!r}; wanted is how many there are, or a list of their names.")
    given = classes if isinstance(classes, Iterable) else range(whole_number("classes", classes, 1))
    names = tuple(map(str, given))
    if not 1 <= len(names) <= MOST_LABELS:
        raise UsageError(f"there are {len(names):,} classes; a store takes 1 to {MOST_LABELS:,}.")
    for test_set, labels_N in arrays.items():
        outside = labels_N[(labels_N < 0) | (labels_N >= len(names))]
        if len(outside):
            raise UsageError(
                f"a label of {test_set} is {outside[0]}; of {len(names)} classes labels are 0 to "
                f"{len(names) - 1}."
            )
    name = name or getattr(_innermost(train_one), "__name__", "")
    if not name or name == "<lambda>":
        raise UsageError("the function has no name, by which its store is known again: give one, name=...")
    try:
        plain = json.loads(json.dumps(dict(settings or {}), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise UsageError(f"settings are kept as JSON, and these are not: {error}.") from error
    return OwnFunction(
        train_one=train_one,
        labels={test_set: labels_N.astype(label_dtype(len(names))) for test_set, labels_N in arrays.items()},
        classes=names,
        name=name,
        settings=plain,
        packages=tuple(packages),
    )


def _innermost(function: Callable[..., Any]) -> Callable[..., Any]:
    while isinstance(function, partial):
        function = function.func
    return function


def _known_here_alone(function: Callable[..., Any]) -> bool:
    """Return whether it was typed in, so that a process that imports the same script would not have it."""
    return _innermost(function).__module__ == "__main__" and not hasattr(sys.modules["__main__"], "__file__")


def _source_sha256(function: Callable[..., Any]) -> str | None:
    """Return the hash of its source, of which what it calls is no part; None where there is none to read."""
    try:
        source = inspect.getsource(_innermost(function))
    except (OSError, TypeError):
        return None
    return hashlib.sha256(source.encode()).hexdigest()


def run_many(
    train_one: TrainOne,
    labels: npt.ArrayLike | Mapping[str, npt.ArrayLike],
    *,
    runs: int,
    out: str | os.PathLike[str],
    name: str = "",
    settings: Mapping[str, Any] | None = None,
    classes: int | Sequence[str] | None = None,
    packages: Sequence[str] = (),
    seed: int = 0,
    vary: tuple[str, ...] = STREAMS,
    placement: Placement = HERE,
    show: Mode = "auto",
) -> Store:
    """Call your own function until the store at `out` has `runs` committed runs; then analyse it like any.

    `train_one(seeds)` trains one network from the unsigned 64-bit integers `seeds.init`, `seeds.order` and
    `seeds.aug` and returns what it predicts: integer classes (N,) or floating-point logits (N, K), of which
    the first largest counts; for several test sets a mapping from their names. `labels` are the true classes
    (N,), or a mapping likewise; a lone test set is called "test". `classes` is their number or their names,
    by default as many as the labels have; of more than 256 the store keeps what was right, not the classes
    that were predicted. A run with a NaN among its logits, which counts as
    the largest, counts as diverged.

    The same call again goes on where it was stopped, or does nothing; it is refused when `name`, `settings`,
    `seed`, `vary` or the labels differ. The code of the function cannot be compared: put into `settings`
    whatever changes what it answers. `placement=Placement(executor="pool", workers=4)` calls it in four
    processes, each of which imports the module of `train_one`: define it at the top level of one, and call
    this under `if __name__ == "__main__":`.

    Raises:
        UsageError: labels, classes, settings or an answer are not what they should be.
        and as `run_campaign`. An exception of the function ends the campaign; what was finished is kept, and
        a note on the exception says with which seeds the function was called.
    """
    refuse_unknown_mode(show)
    subject = own_function(
        train_one, labels, name=name, settings=settings, classes=classes, packages=packages
    )
    if placement.executor == "pool" and _known_here_alone(train_one):
        raise UsageError(
            f"{subject.name} was defined at a prompt or in a notebook, where no other process can find it. "
            "Put it into a module and import it, or leave out `placement`."
        )
    campaign = Campaign(subject=subject, out=Path(out), runs=runs, seed=seed, vary=vary, placement=placement)
    try:
        run_campaign(campaign, show)
    except AirbenchVarError as error:  # it says all; the way that it took through here says nothing more
        raise error.with_traceback(None) from None
    return Store.open(campaign.out)
