"""How runs lie in a table, .csv or .parquet: the names of its columns, and the order of its runs."""

from collections.abc import Sequence

from airbench_var.errors import DataError

#: What each run said of each example, the more telling first.
VALUES = ("predicted", "correct")
RUN, EXAMPLE, LABEL = ("run", "run_id"), "example", "label"


def run_column(names: Sequence[str]) -> str | None:
    """Return the column of run ids: by its name, or a first one without a name, as pandas writes an index."""
    unnamed = [name for name in names[:1] if name == ""]
    return next((name for name in (*RUN, *unnamed) if name in names), None)


def long_value(name: str, names: Sequence[str]) -> str | None:
    """Return the column with the values of a long table, a row for each example of each run; or None.

    Raises: DataError when a long table lacks one of its columns.
    """
    if EXAMPLE not in names or LABEL in names:
        return None
    value = next((value for value in VALUES if value in names), None)
    if value is None or run_column(names) is None:
        raise DataError(
            f"{name} has the columns {listed(names)}. A table with a row for each example of each run has "
            f"the columns run, {EXAMPLE}, and {' or '.join(VALUES)}."
        )
    return value


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
