"""What results/ says of the longest training is what the bits say that are kept beside it."""

import json
import tarfile
from pathlib import Path

import pytest

from airbench_var.analysis import Analysis, LiveStatistics
from airbench_var.store import Store, verify

STUDIES = Path(__file__).parents[2] / "results" / "studies"
ARM = "64 epochs"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("stores")
    with tarfile.open(STUDIES / "durations" / "64-epochs.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    [path] = folder.iterdir()
    return Store.open(path)


@pytest.fixture(scope="module")
def analysis(store: Store) -> Analysis:
    return LiveStatistics.of_store(store).analysis()


def test_the_store_is_whole_and_says_where_it_is_from(store: Store) -> None:
    found = verify(store.path)
    assert (found.faults, found.committed) == ((), 300)
    assert store.manifest.provenance["commit"]
    assert '"/' not in json.dumps(store.manifest.provenance), "a path of the machine that trained"


@pytest.mark.parametrize("study", ["durations", "binary", "binomial", "calibration"])
def test_every_estimate_on_a_page_is_that_of_the_bits(study: str, analysis: Analysis) -> None:
    [summary] = analysis.test_sets
    printed = json.loads((STUDIES / study / "numbers.json").read_text())["numbers"]
    of_store = [one for one in printed if one["arm"] == ARM and one["name"] in summary.estimates]
    assert len(of_store) >= 1
    for number in of_store:
        estimate = summary.estimates[number["name"]]
        assert number["value"] == pytest.approx(estimate.value, rel=1e-12, abs=1e-15), number["name"]
        ends = estimate.interval or (None, None)
        assert (number["low"], number["high"]) == pytest.approx(ends, rel=1e-9), number["name"]
