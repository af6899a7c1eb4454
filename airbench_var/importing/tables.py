"""How runs lie in a table, .csv or .parquet: the names of its columns, and the order of runs and examples."""

import re
from collections.abc import Iterable, Sequence

from airbench_var.errors import DataError

#: What each run said of each example, the more telling first.
VALUES = ("predicted", "correct")
RUN, EXAMPLE, LABEL = ("run", "run_id"), "example", "label"
#: Tells runs apart where nothing else does; in no order.
SEED = "seed"
#: What else these columns are often called, in small letters.
_ALSO = {
    "run": (SEED, "trial", "model", "model_id", "repeat", "replicate"),
    EXAMPLE: ("example_id", "index", "indices", "idx", "image", "image_id", "sample", "sample_id", "id"),
    "predicted": (
        "prediction",
        "predictions",
        "pred",
        "preds",
        "y_pred",
        "predicted_class",
        "predicted_label",
        "pred_label",
    ),
    "correct": ("is_correct", "right"),
    LABEL: ("labels", "target", "targets", "y", "y_true", "y_test", "true_label", "label_ids"),
}
#: Columns by which a table pools what is not runs of one recipe on one test set, where they vary.
POOLED = ("split", "subset", "dataset", "phase", "epoch", "step", "checkpoint", "fold")
#: What one does whose predictions or labels are names of classes.
MAP_NAMES = (
    "in pandas, with NAMES = sorted(set(frame[LABELS])), or as numbers count them already: labels and "
    "predictions both become frame[COLUMN].map(NAMES.index)"
)
#: What is said of all other columns of a table of labels.
BESIDE_LABELS = "a column beside labels"
#: As pandas calls an index without a name in .parquet; in .csv it is a first column without a name.
PANDAS_INDEX = "__index_level_0__"
UNNAMED = (PANDAS_INDEX, "")
#: Columns of a table of labels that count its examples, and nothing else.
_SURELY_COUNTS = (EXAMPLE, "index", *UNNAMED)
#: More columns than this are no long table's.
_FEW = 8
_COUNTED = re.compile("(.*?)([0-9]+)", re.DOTALL)


def role_of(name: str) -> str | None:
    """Return what a column is by its name alone; None where that says nothing."""
    return next((role for role, also in _ALSO.items() if name.lower() in (role, *also)), None)


def role_of_key(key: str) -> str | None:
    """Return what an array is by its key: also labels or predictions as `cifar10/labels` and `test_preds`."""
    name = key.rpartition("/")[2]
    of_end = role_of(name.rpartition("_")[2])
    return role_of(name) or (of_end if of_end in (LABEL, VALUES[0]) else None)


def key_of_column(name: str) -> str:
    """Return the key of a column that is alone: what its name says, or "", which may also be labels."""
    role = role_of(name)
    return role if role in VALUES else ""


def usual_names(names: Sequence[str]) -> list[str]:
    """Return the names of the columns, those of a long table or one of labels as this module has them.

    Only where they leave no doubt: a long table says what was predicted or correct, and has a column that
    counts the examples, or labels.
    """
    usual = {role: name for role in _ALSO if (name := _in_role(role, names)) is not None}
    if set(VALUES) & set(usual) and {EXAMPLE, LABEL} & set(usual):
        if EXAMPLE not in usual and "run" not in usual:
            usual.update((EXAMPLE, name) for name in names if name in UNNAMED)
        roles = set(usual)
    elif set(names) - {usual.get(LABEL), usual.get(EXAMPLE), example_column(names)}:
        roles = set()
    else:
        roles = set(usual) & {LABEL}
    renamed = {usual[role]: role for role in roles}
    return [renamed.get(name, name) for name in names]


def _in_role(role: str, names: Sequence[str]) -> str | None:
    """Return the only column that has a role."""
    for known in ([role], RUN if role == "run" else [], _ALSO[role]):
        found = [name for name in names if name in known] or [name for name in names if name.lower() in known]
        if found:
            return found[0] if len(found) == 1 else None
    return None


def run_column(names: Sequence[str]) -> str | None:
    """Return the column that tells runs apart: by its name, or a first one without, as an index of pandas."""
    unnamed = [name for name in names[:1] if name == ""]
    return next((name for name in (*RUN, *unnamed, SEED) if name in names), None)


def long_values(name: str, names: Sequence[str]) -> list[str]:
    """Return the columns with the values of a long table, a row for each example of each run; or none.

    Without a column of runs it is of one run, and may have labels in place of a column of examples, which are
    then in the order of the rows.

    Raises: DataError when a long table lacks one of its columns, or has others, which may tell runs apart.
    """
    values = [value for value in VALUES if value in names]
    is_of_one = run_of_long(names) is None
    if values and (EXAMPLE in names or (LABEL in names and is_of_one)):
        if is_of_one:
            _refuse_more_than_one_run(name, names)
        return values
    if (values and not is_of_one) or (EXAMPLE in names and LABEL not in names):
        raise DataError(
            f"{name} has, by their usual names, the columns {listed(names)}. A table with a row for each "
            f"example of each run has the columns run, {EXAMPLE}, and {' or '.join(VALUES)}; {LABEL} may be "
            "there as well."
        )
    return []


def _refuse_more_than_one_run(name: str, names: Sequence[str]) -> None:
    """Raise DataError where a table of one run has columns that may tell several apart, or pool two sets."""
    further = [one for one in names if one not in (*VALUES, EXAMPLE, LABEL, *UNNAMED)]
    if further:
        raise DataError(
            f"{name} has a row for each example, and {listed(further)} besides. If that tells runs apart, "
            "call it run, and number them (in pandas: frame['run'] = pandas.factorize(frame[COLUMN])[0]); "
            f"leave out what does not: frame.drop(columns={further}). Nothing was written."
        )


def refuse_pooled(name: str, column: str, values: Iterable[str]) -> None:
    """Raise DataError where a column of `POOLED` has more than one value."""
    found = sorted(set(values))
    if len(found) > 1:
        raise DataError(
            f"{name} has {len(found):,} values of {column} ({listed(found, 3)}): analysed together are runs "
            f"of one recipe on one test set. Keep one, in pandas frame[frame[{column!r}] == VALUE]. "
            "Nothing was written."
        )


def run_of_long(names: Sequence[str]) -> str | None:
    """Return the column that tells the runs of a long table apart; an index without a name counts rows."""
    return next((name for name in (*RUN, SEED) if name in names), None)


def example_column(names: Sequence[str]) -> str | None:
    """Return the column of a table of labels that says, or may say, which example each is of."""
    unnamed = [name for name in names[:1] if name == ""]
    perhaps = [name for name in names if role_of(name) == EXAMPLE]
    return next(
        (name for name in (EXAMPLE, "index", *unnamed, PANDAS_INDEX, *perhaps) if name in names), None
    )


def beside_labels(names: Sequence[str]) -> dict[str, str]:
    """Return what else is in a table of labels, which is not read: by column, in words."""
    counted = example_column(names)
    return {name: BESIDE_LABELS for name in names if name not in (LABEL, counted)}


def refuse_order_of_labels(name: str, column: str, said: Sequence[str]) -> None:
    """Raise DataError unless the column of a table of labels counts the examples from 0 or 1 on.

    An `id` or the like that does not have each of these numbers once, in whatever order, counts nothing.
    """
    counts = any(set(said) == {str(first + i) for i in range(len(said))} for first in (0, 1))
    if column not in _SURELY_COUNTS and not counts:
        return
    first = first_example(next(iter(said), 0))
    for i, value in enumerate(said, first):
        if value != str(i):
            raise DataError(
                f"{name}, label {i - first}: {column or 'the first column'} is {value[:20]!r} where {i} "
                "should be. If it counts the examples, sort labels and predictions by it. If it does not, as "
                "the index that pandas keeps of rows that were chosen, leave the column out: "
                "to_csv(index=False)."
            )


def first_example(said: object) -> int:
    """Return which number the examples of a long table count from, by what its first row says: 0 or 1."""
    return int(str(said) == "1")


def not_in_order(found: object, first: int, i: int) -> str:
    """Return what to say of an example of a run in a long table that is not its number i."""
    return (
        f"example {found!r} where {first + i} should be; the examples of each run are {first}, {first + 1}, "
        f"{first + 2}, ... in order"
    )


def refuse_order_of_columns(name: str, columns: Sequence[str]) -> None:
    """Raise DataError where the names of the examples end in numbers that do not count from 0 or 1 on.

    So it does for a column beside them that counts nothing: it would be taken for one more example.
    """
    counted = [match for match in map(_COUNTED.fullmatch, columns) if match is not None]
    prefixes = {match[1] for match in counted}
    if len(counted) < 2 or len(prefixes) > 1:
        return  # names of another kind, which say nothing of an order
    if odd := not_counted(columns):
        raise DataError(
            f"{name} has {listed(odd)} beside columns that count the examples ({counted[0][0]}, "
            f"{counted[1][0]}, ...). Leave out what is no example, in pandas by "
            f"frame.drop(columns={odd[:8]}); a column that numbers the runs is called run."
        )
    if len(counted) < len(columns):
        return
    first = int(int(counted[0][2]) == 1)
    for i, match in enumerate(counted, first):
        if int(match[2]) != i:
            names = f'"{prefixes.pop()}" + str(i) for i in range({first}, {first + len(columns)})'
            raise DataError(
                f"{name} has the column {match[0]!r} where {i} should be counted: the examples are not in "
                f"order, or not all there. Sort the columns (in pandas: frame[[{names}]]), or give them "
                "names that do not count. Nothing was written."
            )


def known_names() -> str:
    """Return in words which columns a long table has, and what else they may be called."""
    run, example, predicted, correct, label = (
        f"{role} (also {', '.join(also)})" for role, also in ({"run": ()} | _ALSO).items()
    )
    return f"{run}; {example}; {predicted} or {correct}; and perhaps {label}"


def perhaps_long(columns: Sequence[str], shape: Sequence[int] = ()) -> str:
    """Return what to say of a table that was taken for wide, and is refused, if it may be a long one.

    Few columns, whose names do not count examples, and many more rows: where their names are not known it
    cannot be told from runs on few examples, so that it is said only where something is wrong already.

    columns: of the table, none where it does not name them; shape: of its rows, () where these are too many.
    """
    named = [column for column in columns if column not in UNNAMED]
    counted = sum(_COUNTED.fullmatch(column) is not None for column in named)
    is_long = 2 <= len(named) <= _FEW and (not shape or shape[0] > 4 * len(named))
    if not is_long or 2 * counted >= len(named):
        return ""
    return (
        f" The columns {listed(named)} may be those of a long table, a row for each example of each run, "
        "under other names: rename them, in pandas by frame.rename(columns={OLD: NEW}). Known are "
        f"{known_names()}."
    )


def not_counted(columns: Sequence[str]) -> list[str]:
    """Return the few columns beside many whose names are one word with 0, 1, 2, ... after it."""
    counted = [match for match in map(_COUNTED.fullmatch, columns) if match is not None]
    odd = [column for column in columns if _COUNTED.fullmatch(column) is None]
    return odd if len({match[1] for match in counted}) == 1 and len(counted) > max(1, len(odd)) else []


def refuse_order(where: str, run: int, before: int | None, wide: Sequence[str] = ()) -> None:
    """Raise DataError unless a run comes after the one before it; `wide`: the columns of a wide table."""
    if before is not None and run <= before:
        what = "twice" if run == before else f"after run {before}"
        raise DataError(
            f"{where}: run {run} comes {what}. Sort the table by run and example, and give each run once. "
            f"Nothing was written.{perhaps_long(wide)}"
        )


def listed(names: Sequence[str], most: int = 8) -> str:
    """Return some names in words."""
    rest = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest
