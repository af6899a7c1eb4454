"""The runs of a study. An arm is a campaign in a store found by what it is of, so that studies share runs."""

import errno
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from airbench_var.analysis import TestSetSummary, summarize
from airbench_var.analysis.live import empty_states
from airbench_var.campaign import Campaign, Say, run_campaign
from airbench_var.data.dataset import Dataset
from airbench_var.data.test_sets import on_stderr
from airbench_var.errors import UsageError
from airbench_var.execution import HERE, Placement
from airbench_var.recipe import AnyRecipe
from airbench_var.report.display import Mode
from airbench_var.seeds import STREAMS
from airbench_var.stats import CampaignState
from airbench_var.store import Store
from airbench_var.store.create import has_manifest
from airbench_var.store.disk import storage_errors
from airbench_var.studies.scales import Scale
from airbench_var.subjects import Data, engine_for, subject_of, with_test_sets
from airbench_var.training import Settings
from airbench_var.training.settings import Engine


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One recipe that a study trains many times: its first `runs` runs are what the study is about."""

    name: str  #: for people, and in numbers.json: "16 epochs"
    recipe: AnyRecipe
    runs: int
    seed: int = 0
    vary: tuple[str, ...] = STREAMS
    test_sets: tuple[str, ...] = ()  #: further ones, as `data.test_sets` names them


@dataclass(frozen=True, kw_only=True)
class Trained:
    """The runs of an arm, counted."""

    arm: Arm
    store: Store
    run_ids_R: npt.NDArray[np.int64]

    @cached_property
    def _states(self) -> dict[str, CampaignState]:
        return {}

    @cached_property
    def _summaries(self) -> dict[str, TestSetSummary]:
        return {}

    def state_of(self, test_set: str) -> CampaignState:
        """Return the counts of a test set; they are made once, from verified rows."""
        if test_set not in self._states:
            predicted = self.store.blocks(test_set, self.run_ids_R, column="predicted")
            state = empty_states(self.store)[test_set]
            for right, classes in zip(self.store.blocks(test_set, self.run_ids_R), predicted, strict=True):
                state = state.update(right.run_ids, right.rows_Rb, classes.rows_Rb)
            self._states[test_set] = state
        return self._states[test_set]

    def summary_of(self, test_set: str) -> TestSetSummary:
        """Return every estimate of a test set; they are made once."""
        if test_set not in self._summaries:
            state = self.state_of(test_set)
            self._summaries[test_set] = summarize(test_set, state, diverged=self.diverged)
        return self._summaries[test_set]

    @cached_property
    def diverged(self) -> frozenset[int]:
        """The ids of the runs that diverged."""
        is_diverged_R = self.store.records(self.run_ids_R)["diverged"] != 0
        return frozenset(self.run_ids_R[is_diverged_R].tolist())

    @property
    def summary(self) -> TestSetSummary:
        """Every estimate of the first test set."""
        return self.summary_of(self.store.test_sets[0])

    @property
    def state(self) -> CampaignState:
        """The counts of the first test set."""
        return self.state_of(self.store.test_sets[0])

    def correct_RN(self, test_set: str, runs: int | None = None) -> npt.NDArray[np.uint8]:
        """Return the correctness of the first runs, by default of all, as zeros and ones, uint8 (R, N)."""
        return self.store.correct_RN(test_set, self.run_ids_R[:runs])


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a study draws its findings from."""

    trained: Sequence[Trained]  #: in the order of its arms
    data: Data
    scale: Scale

    @property
    def images(self) -> Dataset:
        """The data of a study that is on images."""
        assert isinstance(self.data, Dataset)
        return self.data


@dataclass(frozen=True, kw_only=True)
class Workplace:
    """With what a study trains, and where it keeps the stores."""

    data: Data
    settings: Settings
    placement: Placement = HERE
    engine: Literal["auto"] | Engine = "auto"  #: what was asked for; chosen for each arm
    stores: Path
    mode: Mode = "quiet"
    say: Say = lambda text: None  #: is told which arm is next

    def campaign(self, arm: Arm) -> Campaign:
        """Return the campaign of an arm; its store's name ends with a hash of all that must match."""
        settings = self.settings
        engine, _ = engine_for(
            self.engine, [arm.recipe], self.data, device=settings.device, threads=settings.threads
        )
        campaign = Campaign(
            subject=subject_of(arm.recipe, self._data_for(arm.test_sets), replace(settings, engine=engine)),
            out=Path(),
            runs=arm.runs,
            seed=arm.seed,
            vary=arm.vary,
            placement=self.placement,
        )
        name = f"{arm.recipe.name}-{self.data.name}-{identity_sha256(campaign)[:12]}"
        return replace(campaign, out=self.stores / name)

    @cached_property
    def _known(self) -> dict[tuple[str, ...], Data]:
        return {(): self.data}

    def _data_for(self, test_sets: tuple[str, ...]) -> Data:
        """Return the data with these test sets; the same object again, as fingerprints may take long."""
        if test_sets not in self._known:
            self._known[test_sets] = with_test_sets(self.data, test_sets, skip_missing=False, say=on_stderr)
        return self._known[test_sets]

    def train(self, arm: Arm) -> None:
        """Train those of the arm's runs that its store lacks; it may hold more. Raises as `run_campaign`."""
        campaign, there = self.campaign(arm), 0
        if has_manifest(campaign.out):
            store = Store.open(campaign.out)
            store.manifest.refuse_other_identity(campaign.out, campaign.identity())
            there = len(own_ids(store, arm))
            if there == arm.runs:
                self.say(f"{arm.name}: all {arm.runs:,} runs are there")
                return
            if store.capacity > arm.runs:  # runs beyond ours are there, and of ours some are missing
                campaign = replace(campaign, runs=store.capacity)
        self.say(f"{arm.name}: {there:,} of {arm.runs:,} runs are there")
        self._refuse_unwritable()
        run_campaign(campaign, self.mode)

    def _refuse_unwritable(self) -> None:
        """Raise StorageError where no store can be written, by the option that chooses another place."""
        with storage_errors(self.stores, "creating", instead="choose another folder with --stores"):
            self.stores.mkdir(parents=True, exist_ok=True)
            if not os.access(self.stores, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    def trained(self, arm: Arm) -> Trained:
        """Return the runs of an arm; raises UsageError when some are missing, StoreDamagedError."""
        store = Store.open(self.campaign(arm).out)
        ids = own_ids(store, arm)
        if len(ids) < arm.runs:
            raise UsageError(f"{store.path} has {len(ids)} of the {arm.runs} runs of {arm.name!r}.")
        return Trained(arm=arm, store=store, run_ids_R=ids)


def own_ids(store: Store, arm: Arm) -> npt.NDArray[np.int64]:
    """Return the ids of the committed runs among 0 ... arm.runs - 1, (R,)."""
    ids = store.committed_ids()
    return ids[ids < arm.runs]


def identity_sha256(campaign: Campaign) -> str:
    """Return the hash of all that must match when runs are added to the campaign's store."""
    text = json.dumps(campaign.identity(), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def with_published(scale: Scale, data: Data, *, skip_missing: bool) -> Scale:
    """Return the scale with those of its published test sets that are there; raises as `with_test_sets`."""
    there = with_test_sets(data, scale.published, skip_missing=skip_missing, say=on_stderr).test_set_names
    return replace(
        scale, published=tuple(text for text in scale.published if text.partition(":")[0] in there)
    )
