"""How runs lie in a table, .csv or .parquet: the names of its columns, and the order of runs and examples."""

import re
from collections.abc import Sequence

from airbench_var.errors import DataError

#: What each run said of each example, the more telling first.
VALUES = ("predicted", "correct")
RUN, EXAMPLE, LABEL = ("run", "run_id"), "example", "label"
#: As pandas calls an index without a name in .parquet; in .csv it is a first column without a name.
PANDAS_INDEX = "__index_level_0__"
_COUNTED = re.compile("(.*?)([0-9]+)", re.DOTALL)


def run_column(names: Sequence[str]) -> str | None:
    """Return the column of run ids: by its name, or a first one without a name, as pandas writes an index."""
    unnamed = [name for name in names[:1] if name == ""]
    return next((name for name in (*RUN, *unnamed) if name in names), None)


def long_values(name: str, names: Sequence[str]) -> list[str]:
    """Return the columns with the values of a long table, a row for each example of each run; or none.

    Raises: DataError when a long table lacks one of its columns, or has labels as well.
    """
    values = [value for value in VALUES if value in names]
    if EXAMPLE not in names:
        return []
    if LABEL in names:
        if values and set(RUN) & set(names):
            raise DataError(
                f"{name} has the columns {listed(names)}: labels are a table of their own, {EXAMPLE} and "
                f"{LABEL}, a row for each example. Write the rows of one run there, and leave the column "
                f"{LABEL} out of the table of the runs."
            )
        return []
    if not values or run_column(names) is None:
        raise DataError(
            f"{name} has the columns {listed(names)}. A table with a row for each example of each run has "
            f"the columns run, {EXAMPLE}, and {' or '.join(VALUES)}."
        )
    return values


def example_column(names: Sequence[str]) -> str | None:
    """Return the column of a table of labels that says which example each is of, if there is one."""
    unnamed = [name for name in names[:1] if name == ""]
    return next((name for name in (EXAMPLE, "index", *unnamed, PANDAS_INDEX) if name in names), None)


def refuse_order_of_labels(name: str, column: str, said: Sequence[str]) -> None:
    """Raise DataError unless the column of a table of labels counts the examples from 0 or 1 on."""
    first = int(said[:1] == ["1"])
    for i, value in enumerate(said, first):
        if value != str(i):
            raise DataError(
                f"{name}, label {i - first}: {column or 'the first column'} is {value[:20]!r} where {i} "
                "should be. Sort the labels as the examples; leave the column out if it counts no examples."
            )


def refuse_order_of_columns(name: str, columns: Sequence[str]) -> None:
    """Raise DataError where the names of the examples end in numbers that do not count from 0 or 1 on."""
    counted = [match for match in map(_COUNTED.fullmatch, columns) if match is not None]
    prefixes = {match[1] for match in counted}
    if len(counted) < max(2, len(columns)) or len(prefixes) > 1:
        return  # names of another kind, which say nothing of an order
    first = int(int(counted[0][2]) == 1)
    for i, match in enumerate(counted, first):
        if int(match[2]) != i:
            names = f'"{prefixes.pop()}" + str(i) for i in range({first}, {first + len(columns)})'
            raise DataError(
                f"{name} has the column {match[0]!r} where {i} should be counted: the examples are not in "
                f"order, or not all there. Sort the columns (in pandas: frame[[{names}]]), or give them "
                "names that do not count. Nothing was written."
            )


def refuse_order(where: str, run: int, before: int | None) -> None:
    """Raise DataError unless a run comes after the one before it."""
    if before is not None and run <= before:
        what = "twice" if run == before else f"after run {before}"
        raise DataError(
            f"{where}: run {run} comes {what}. Sort the table by run and example, and give each run once. "
            "Nothing was written."
        )


def listed(names: Sequence[str], most: int = 8) -> str:
    """Return some names in words."""
    rest = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest
