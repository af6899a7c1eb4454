"""A contest: two recipes trained side by side into two stores until a rule, fixed before, has decided.

DIR/a, DIR/b           plain stores, of campaigns with the seeds 2 S and 2 S + 1
DIR/comparison.json    the rule and the test set, there before the first run; replaced only by one that
                       allows more runs. The decision is in no file: it follows from the stores.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airbench_var.analysis import LiveStatistics
from airbench_var.analysis.sequential import Rule
from airbench_var.analysis.standing import Referee, Standing
from airbench_var.campaign import Campaign, Say, Session, Subject, in_batches, listen
from airbench_var.errors import (
    InterruptedCampaignError,
    RunsFailedError,
    StoreDamagedError,
    StoreRefusedError,
    UsageError,
)
from airbench_var.execution import HERE, Executor, Placement
from airbench_var.interrupt import Interrupt
from airbench_var.report.contest import ContestView
from airbench_var.report.display import Mode
from airbench_var.seeds import STREAMS
from airbench_var.store import RunSpec, Store
from airbench_var.store.create import has_manifest
from airbench_var.store.disk import replace_file, storage_errors

COMPARISON = "comparison.json"
FORMAT, FORMAT_VERSION = "airbench_var comparison", 1
ARMS = ("a", "b")


@dataclass(frozen=True, kw_only=True)
class Contest:
    """What is asked for: `out` ends with two stores, a and b, and enough runs in them to decide."""

    subjects: tuple[Subject, Subject]  #: A and B: two recipes on the same data
    out: Path
    rule: Rule
    test_set: str = ""  #: on which accuracies are compared; by default the first
    seed: int = 0
    vary: tuple[str, ...] = STREAMS
    placement: Placement = HERE

    @property
    def arms(self) -> tuple[Campaign, Campaign]:
        """The campaigns of A and B; their seeds are 2 * seed and 2 * seed + 1, so that no run has a twin."""
        a, b = (
            Campaign(
                subject=subject,
                out=self.out / name,
                runs=self.rule.max_runs,
                seed=2 * self.seed + arm,
                vary=self.vary,
                placement=self.placement,
                stopping=f"{self.rule.name}: as many as it takes to decide between {' and '.join(ARMS)}",
            )
            for arm, (name, subject) in enumerate(zip(ARMS, self.subjects, strict=True))
        )
        return a, b

    @property
    def judged_on(self) -> str:
        """The test set on which accuracies are compared.

        Raises: UsageError when a recipe does not predict on it.
        """
        names = [subject.labels for subject in self.subjects]
        shared = [name for name in names[0] if name in names[1]]
        chosen = self.test_set or shared[0]
        if chosen not in shared:
            raise UsageError(f"A and B have no test set {chosen!r} in common; they have {', '.join(shared)}.")
        return chosen

    def agreement(self) -> dict[str, Any]:
        """Return what is fixed before the first run, as JSON values; each store has what it is of itself."""
        return {"test_set": self.judged_on, **self.rule.to_json()}


def run_contest(contest: Contest, mode: Mode = "quiet", execute: Executor | None = None) -> Standing:
    """Train pairs of runs until the rule has decided, or its last pair is through, and return the decision.

    Runs are begun in pairs and committed as they come; the decision follows from the stores alone. Those
    under way when it falls are committed too, and change nothing. A run that failed for good is not tried
    again: its pair would move those that were looked at already.

    Raises:
        UsageError: a recipe does not fit the data, or lacks the test set; nothing was made.
        StoreRefusedError: what is in the folder is of another rule, recipe or writer.
        StorageError: the disk is full or failing; what was shown as done is safe.
        InterruptedCampaignError: a signal came before the decision; what was finished is committed.
        RunsFailedError: so many runs failed that fewer than two pairs are left.
    """
    for subject in contest.subjects:
        subject.refuse_misfit()
    agreement = contest.agreement()
    if has_manifest(contest.out):
        raise StoreRefusedError(
            f"{contest.out} is a store, not a folder for two. Choose another folder with --out."
        )
    _refuse_another_agreement(contest.out, agreement)
    with ExitStack() as opened:
        sessions = [opened.enter_context(Session.open(arm)) for arm in contest.arms]
        _agree(contest.out, agreement, sessions)
        statistics = [session.statistics for session in sessions]
        referee = Referee(contest.rule, contest.judged_on, statistics[0], statistics[1])
        if referee.decision is None:
            _train(contest, sessions, referee, mode, execute)
        standing = referee.standing()
    if standing.decision == "undecided" and standing.pairs < 2:
        raise RunsFailedError(
            f"{standing.left_out} of {contest.rule.max_runs} pairs lack a run that failed for good, which "
            f"leaves {standing.pairs}: nothing can be compared. The events.jsonl of both stores says why."
        )
    return standing


def standing_of(contest: Contest) -> Standing:
    """Return where a contest is, from its stores alone; nothing is written.

    Raises: as `Store.open` and `analyze`.
    """
    a, b = (LiveStatistics.of_store(Store.open(arm.out)) for arm in contest.arms)
    return Referee(contest.rule, contest.judged_on, a, b).standing()


def _train(
    contest: Contest, sessions: list[Session], referee: Referee, mode: Mode, execute: Executor | None
) -> None:
    """Run what is open, in pairs, until the referee has decided; raise when a signal came before."""
    a, b = contest.subjects
    title = b.title if a.name == b.name else f"{a.name} against {b.title}"
    done = sum(session.writer.committed_count for session in sessions)
    with (
        ContestView(referee.standing(with_comparison=False), done, mode, title) as view,
        Interrupt(view.message) as interrupt,
    ):
        say = [_prefixed(name, view.message) for name in ARMS]
        for arm, session in enumerate(sessions):
            session.start(say[arm])
        if contest.vary != STREAMS:
            view.message("note: what is not varied has one value in all runs of A and another in all of B")
        execute = execute or contest.placement.execute
        makes = [session.make_train for session in sessions]

        def stop() -> bool:
            return referee.decision is not None or interrupt.requested()

        reports = execute(makes, list(_open_specs(sessions)), stop)
        for batch in in_batches(listen(reports, sessions, view.message, view.begins)):
            for arm, session in enumerate(sessions):
                session.record([outcome for outcome in batch if outcome.spec.arm == arm], say[arm])
            referee.look()
            view.update(referee.standing(with_comparison=False))
        for arm, session in enumerate(sessions):
            session.keep(say[arm])
    for session in sessions:
        session.stop(interrupt)
    if (came := interrupt.signal) and referee.decision is None:
        pairs = referee.standing(with_comparison=False).pairs
        raise InterruptedCampaignError(
            f"stopped by {came.name} after {pairs} pairs, with nothing decided; what was finished is "
            f"committed in {contest.out}. The same command goes on from there.",
            exit_code=128 + came,
        )


def _open_specs(sessions: list[Session]) -> Iterator[RunSpec]:
    """Yield what was never tried, pair by pair, so that both recipes advance together."""
    work = [(i, arm) for arm, s in enumerate(sessions) for i in s.writer.open_ids(s.campaign.runs)]
    for run_id, arm in sorted(work):
        yield sessions[arm].spec(run_id, arm)


def _prefixed(name: str, say: Say) -> Say:
    return lambda text: say(f"{name.upper()}: {text}")


def _agree(out: Path, agreement: Mapping[str, Any], sessions: list[Session]) -> None:
    """Write down the rule before the first run; the stores' locks keep others away.

    Raises: StoreRefusedError when another rule is there, or runs without any.
    """
    there = _refuse_another_agreement(out, agreement)
    if there is None and any(session.writer.committed_count for session in sessions):
        raise StoreRefusedError(
            f"{out} has runs but no {COMPARISON}: a rule that is chosen after looking at runs decides "
            "nothing. Choose another folder with --out, or bring the file back."
        )
    if there != agreement:
        text = json.dumps({"format": FORMAT, "format_version": FORMAT_VERSION, **agreement}, indent=2) + "\n"
        with storage_errors(out / COMPARISON, "writing"):
            replace_file(out / COMPARISON, text.encode("ascii"))


def _refuse_another_agreement(out: Path, wanted: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the agreement that is there, if any.

    More runs are welcome where the rule does not plan with their number.

    Raises: StoreRefusedError that lists what differs, StoreDamagedError for what is no agreement.
    """
    path = out / COMPARISON
    with storage_errors(path, "reading"):
        try:
            text = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
    try:
        there = dict(json.loads(text))
        format_, version = there.pop("format"), there.pop("format_version")
    except (ValueError, TypeError, KeyError) as error:
        raise StoreDamagedError(
            f"{path} is not whole. Bring it back from a copy, or choose another folder with --out."
        ) from error
    if (format_, version) != (FORMAT, FORMAT_VERSION):
        raise StoreRefusedError(
            f"{path} is of format {format_!r}, version {version!r}, which is not known here."
        )
    lines = [
        f"  {key}: {json.dumps(there.get(key))} there, {json.dumps(wanted.get(key))} now"
        for key in dict.fromkeys((*there, *wanted))
        if there.get(key) != wanted.get(key) and not (key == "max_runs" and _may_grow(there, wanted))
    ]
    if lines:
        raise StoreRefusedError(
            f"{out} is a comparison by another rule; nothing was written. What differs:\n"
            + "\n".join(lines)
            + "\nA rule that changes while runs come in decides nothing. Choose another folder with --out, "
            "or give the options that it was begun with."
        )
    return there


def _may_grow(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return "looks" not in wanted and there["max_runs"] < wanted["max_runs"]
