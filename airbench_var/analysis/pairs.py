"""Which pairs of test examples go right and wrong together? All of them, from the packed rows of a store."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from airbench_var.analysis.discoveries import Discoveries
from airbench_var.analysis.estimate import too_few
from airbench_var.analysis.independence import ASSUMPTION, too_few_varying
from airbench_var.analysis.joint_frequency import JointFrequency, by_rule, least_deviation
from airbench_var.analysis.pair_scan import (
    COLUMNS_PER_BLOCK,
    LEVEL,
    MOST_RUNS,
    Columns,
    Scan,
    scan,
    sum_of_squares,
    varying,
)
from airbench_var.analysis.squared_covariance import SquaredCovariance, squared_covariance
from airbench_var.store import Store

#: Discoveries that are listed one by one; all are counted.
MOST_LISTED = 1000


@dataclass(frozen=True, kw_only=True)
class DeviatingPair:
    """Two examples whose errors are not independent of each other."""

    examples: tuple[int, int]  #: indices in the test set
    classes: tuple[str, str]  #: of their labels
    accuracies: tuple[float, float]
    both_right: float  #: the share of runs that are right on both
    z: float  #: standard deviations by which that is off the product of accuracies, under independence
    p_value: float  #: exact and two-sided; of one pair, not corrected for their number

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        pairs = ("examples", "classes", "accuracies")
        return {**vars(self), **{name: list(getattr(self, name)) for name in pairs}}


@dataclass(frozen=True, kw_only=True)
class PairFindings:
    """What was found over all pairs of examples that vary."""

    benjamini_hochberg: Discoveries
    benjamini_yekutieli: Discoveries
    joint_frequency: JointFrequency
    squared_covariance: SquaredCovariance
    deviating: tuple[DeviatingPair, ...]  #: discoveries of Benjamini-Hochberg, the least likely first

    @property
    def unlisted(self) -> int:
        """How many discoveries `deviating` leaves out."""
        return self.benjamini_hochberg.number - len(self.deviating)

    def to_json(self) -> dict[str, Any]:
        """Return the same as JSON values; of discoveries their number and the largest p-value among them."""
        return {
            "discoveries": {
                "level": LEVEL,
                "benjamini_hochberg": _json_of(self.benjamini_hochberg),
                "benjamini_yekutieli": _json_of(self.benjamini_yekutieli),
                "method": "exact hypergeometric tails, doubled; false discovery rate over all pairs",
                "assumption": f"{ASSUMPTION}; Benjamini-Hochberg: p-values of pairs depend on one another "
                "positively or not at all, Benjamini-Yekutieli: in any way",
            },
            "joint_frequency": self.joint_frequency.to_json(),
            "squared_covariance": self.squared_covariance.to_json(),
            "deviating": [pair.to_json() for pair in self.deviating],
            "deviating_unlisted": self.unlisted,
        }


@dataclass(frozen=True, kw_only=True)
class PairAnalysis:
    """What the runs say of all pairs of examples of one test set; without findings it says why."""

    name: str
    examples: int
    runs: int
    varying: int  #: examples that are right in some runs and wrong in others
    findings: PairFindings | None
    absent: str = ""

    @property
    def pairs(self) -> int:
        """How many pairs there are to test: of examples that vary; with any other nothing can go together."""
        return math.comb(self.varying, 2)

    def to_json(self) -> dict[str, Any]:
        """Return examples, runs, varying, pairs, absent, and what `PairFindings.to_json` returns, if any."""
        sizes = {name: getattr(self, name) for name in ("examples", "runs", "varying", "pairs")}
        return {**sizes, "absent": self.absent or None, **(self.findings.to_json() if self.findings else {})}


def analyze_pairs(store: Store | str | os.PathLike[str]) -> dict[str, PairAnalysis]:
    """Return what all committed runs of a store say of pairs of examples, by test set.

    O(R n**2) time: seconds for 10,000 runs on 10,000 examples. Memory: the packed bits twice, R n / 4 bytes,
    and less than 200 MB besides.

    Raises: UsageError when there is no such store, StoreDamagedError when a row is not what was committed.
    """
    opened = store if isinstance(store, Store) else Store.open(store)
    run_ids_R = opened.committed_ids()  # once, so that all test sets are of the same runs
    found: dict[str, PairAnalysis] = {}
    for test_set in opened.manifest.test_sets:
        rows = [block.rows_Rb for block in opened.blocks(test_set.name, run_ids_R)]
        packed_RB = np.concatenate(rows) if rows else np.zeros((0, (test_set.n + 7) // 8), np.uint8)
        class_N = np.array(test_set.classes)[opened.labels(test_set.name)]
        found[test_set.name] = pairs_of(test_set.name, packed_RB, class_N)
    return found


def pairs_of(
    name: str,
    packed_RB: npt.NDArray[np.uint8],
    class_N: npt.NDArray[np.str_],
    block: int = COLUMNS_PER_BLOCK,
) -> PairAnalysis:
    """Return the analysis of packed rows (R, ceil(n / 8)), bitorder "little", of n examples of these classes.

    `block`, a multiple of 8, is how many columns are looked at together; it changes no result.
    """
    columns = varying(packed_RB, len(class_N))
    absent = _why_not(len(packed_RB), len(columns.places_T))
    return PairAnalysis(
        name=name,
        examples=len(class_N),
        runs=len(packed_RB),
        varying=len(columns.places_T),
        findings=None if absent else _findings(columns, class_N, block),
        absent=absent,
    )


def _findings(columns: Columns, class_N: npt.NDArray[np.str_], block: int) -> PairFindings:
    R = len(columns.packed_RB)
    found = scan(columns, least_deviation(R), MOST_LISTED, block)
    discoveries = found.p_values.benjamini_hochberg(found.pairs, LEVEL)
    return PairFindings(
        benjamini_hochberg=discoveries,
        benjamini_yekutieli=found.p_values.benjamini_yekutieli(found.pairs, LEVEL),
        joint_frequency=by_rule(found.c_T, R, found.deviating),
        squared_covariance=squared_covariance(columns.c_N, R, sum_of_squares(columns, found.squares)),
        deviating=_listed(found, discoveries, columns, class_N),
    )


def _listed(
    found: Scan, discoveries: Discoveries, columns: Columns, class_N: npt.NDArray[np.str_]
) -> tuple[DeviatingPair, ...]:
    """Return the strongest pairs as far as they are discoveries."""
    strongest, R = found.strongest, found.laws.R
    listed: list[DeviatingPair] = []
    for place in np.flatnonzero(discoveries.contain(strongest.p_P)).tolist():
        i, j = (int(columns.places_T[side[place]]) for side in (strongest.i_P, strongest.j_P))
        listed.append(
            DeviatingPair(
                examples=(i, j),
                classes=(str(class_N[i]), str(class_N[j])),
                accuracies=(int(columns.c_N[i]) / R, int(columns.c_N[j]) / R),
                both_right=int(strongest.both_P[place]) / R,
                z=float(strongest.z_P[place]),
                p_value=float(strongest.p_P[place]),
            )
        )
    return tuple(listed)


def _json_of(discoveries: Discoveries) -> Mapping[str, Any]:
    return {"pairs": discoveries.number, "largest_p_value": discoveries.cut_off}


def _why_not(R: int, varying: int) -> str:
    if R > MOST_RUNS:
        return f"no more than {MOST_RUNS:,} runs can be counted exactly, there are {R:,}"
    return too_few("run", R, 2) or too_few_varying(varying)
