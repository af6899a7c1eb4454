"""The sections of one call, in order, each guarded, each with its part of the time.

After every section the numbers so far are on the disk, so that a machine that is taken away leaves them.
"""

import json
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from rich.console import Console

from airbench_var import machine
from airbench_var.errors import UsageError
from bench.gpu.report import Report, print_section, write_json, write_table
from bench.gpu.session import Deadline, Session


@dataclass(frozen=True, kw_only=True)
class Section:
    """One part of the command."""

    name: str  #: its key in numbers.json
    title: str
    predicted_s: float  #: on an H200, by arithmetic; also its share of the budget
    run: Callable[[Session, Report, Deadline], None]
    by_name: bool = False  #: runs only when it is named


class Sections:
    """The sections of a call and what they found, on the disk after each: numbers.json, table.txt.

    A section that raises leaves its traceback in NAME.traceback.txt, and the others go on. CUDA does not
    recover from some errors, such as an address out of bounds; then the others go on in a new process.
    """

    def __init__(self, session: Session, budget_s: float, console: Console, quick: bool = False) -> None:
        self.session, self.console, self.budget = session, console, Deadline(budget_s)
        self.path = session.out / "numbers.json"
        self.numbers: dict[str, Any] = {
            "machine": asdict(session.machine),
            "quick": quick,
            "data": f"{session.data.title}, {len(session.data.train)} + {len(session.data.test)} images",
            "recipe": f"{session.sizes.recipe.name} ({session.sizes.recipe.sha256[:8]})",
            "command": machine.command(),
            "created": machine.origin()["created"],
            "sections": {},
        }

    def keep_earlier(self) -> None:
        """Add to what is there; raises UsageError for numbers of another machine, commit or data."""
        if not self.path.exists():
            return
        there = json.loads(self.path.read_text(encoding="utf-8"))
        for key in ("machine", "quick", "data", "recipe"):
            if there[key] != self.numbers[key]:
                raise UsageError(
                    f"{self.path} is of another {key} ({there[key]}, here {self.numbers[key]}), and sections "
                    "of the two would be mixed. Choose another --out, or leave --only out."
                )
        self.numbers["sections"] = there["sections"]

    def run(self, sections: Sequence[Section]) -> list[str]:
        """Run the sections in order, and return the names of those that failed."""
        failed = []
        for place, section in enumerate(sections):
            later = sections[place + 1 :]
            if not self._run(section, sum(other.predicted_s for other in later)):
                failed.append(section.name)
                if later and not answers(self.session.device):
                    self.console.print(
                        "CUDA does not recover from this: the other sections in a new process."
                    )
                    return failed + self._elsewhere(later)
        return failed

    def _run(self, section: Section, later_s: float) -> bool:
        """Run one section and keep what it found; its share of the time left is what was predicted."""
        report, start_s = Report(self.session.machine), time.perf_counter()
        share = section.predicted_s / (section.predicted_s + later_s)
        error = ""
        try:
            section.run(self.session, report, Deadline(share * max(0.0, self.budget.left_s)))
            if self.session.device.type == "cuda":
                torch.cuda.empty_cache()  # a capture cannot free what others have left, nor can the peer
        except Exception as raised:
            error = f"{type(raised).__name__}: {raised}"
            (self.session.out / f"{section.name}.traceback.txt").write_text(traceback.format_exc())
        found = {
            "title": section.title,
            "status": "failed" if error else "done",
            "predicted_s": section.predicted_s,
            "seconds": time.perf_counter() - start_s,
            "error": error,
            **report.to_json(),
        }
        self.numbers["sections"][section.name] = found
        print_section(found, self.console)
        write_json(self.path, self.numbers)
        write_table(self.session.out / "table.txt", self.numbers)
        return not error

    def _elsewhere(self, sections: Sequence[Section]) -> list[str]:
        """Run sections in a new process, as this one was called; return the names of those that failed."""
        names = [section.name for section in sections]
        options = ["--budget", f"{max(1.0, self.budget.left_s):.0f}", "--only", *names]
        subprocess.run([sys.executable, "-m", "bench", "gpu", *self.session.options, *options], check=False)
        self.numbers = json.loads(self.path.read_text(encoding="utf-8"))
        found = self.numbers["sections"]
        return [name for name in names if found.get(name, {}).get("status") != "done"]


def answers(device: torch.device) -> bool:
    """Whether the device still computes."""
    try:
        return bool(torch.ones(1, device=device).sum().item() == 1)
    except RuntimeError:
        return False
