import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from .machine import StoreMachine


@pytest.mark.usefixtures("syncs_take_no_time")
def test_random_histories_match_the_store_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airbench_var.store.damage.RECHECK_S", 0)
    run_state_machine_as_test(
        StoreMachine,
        settings=settings(
            max_examples=40,
            stateful_step_count=20,
            deadline=None,
            derandomize=True,
            report_multiple_bugs=False,
        ),
    )
