"""The JSON document is what its schema says, for every kind of store, and the schema refuses other things."""

import copy
import json
from collections.abc import Callable
from importlib import resources
from typing import Any

import jsonschema
import numpy as np
import pytest

from airbench_var.analysis import Analysis, summarize
from airbench_var.stats import CampaignState
from tests.statistical.generator import count, simulate, state_of, state_with_classes

SCHEMA = json.loads(resources.files("airbench_var.analysis").joinpath("analysis.schema.json").read_text())


def document(state: CampaignState) -> dict[str, Any]:
    summary = summarize("cifar10", state)
    return Analysis(runs=summary.runs, diverged=0, failed=0, test_sets=(summary,)).to_json()


def simulated(runs: int, n: int = 60) -> "np.ndarray[tuple[int, int], np.dtype[np.bool_]]":
    return simulate(np.random.default_rng(runs), n=n, runs=runs, distribution_wise_std=0.0).correct_RN


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(
    "state",
    [
        state_with_classes(simulated(60), 10),
        state_with_classes(simulated(20), 2),
        state_with_classes(simulated(9), 13),
        state_with_classes(simulated(1), 10),
        state_with_classes(np.ones((5, 7)), 4),
        state_with_classes(np.ones((4, 1)), 3),
        state_of(count(simulated(30))),
        CampaignState.empty("", 9, np.zeros(9, np.uint8), 10),
    ],
    ids=["ten classes", "two", "thirteen", "one run", "all right", "one example", "no classes", "no run"],
)
def test_what_is_printed_follows_the_schema(state: CampaignState) -> None:
    printed = document(state)
    jsonschema.validate(printed, SCHEMA, cls=jsonschema.Draft202012Validator)
    assert json.loads(json.dumps(printed, allow_nan=False)) == printed


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.pop("schema"),
        lambda d: d["test_sets"]["cifar10"]["estimates"].pop("excess_variance"),
        lambda d: d["test_sets"]["cifar10"]["estimates"]["mean_accuracy"].pop("target"),
        lambda d: d["test_sets"]["cifar10"]["estimates"]["mean_accuracy"].update(value="93 %"),
        lambda d: d["test_sets"]["cifar10"]["tests"]["calibration"].update(p_value=2),
        lambda d: d["test_sets"]["cifar10"]["estimates"].update(another={}),
    ],
)
def test_the_schema_refuses_what_is_not_documented(change: Callable[[dict[str, Any]], object]) -> None:
    wrong = copy.deepcopy(document(state_with_classes(simulated(20), 10)))
    change(wrong)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, SCHEMA, cls=jsonschema.Draft202012Validator)
