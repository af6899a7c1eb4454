"""The tests of the repository that need a GPU, by pytest, in a process of their own."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from bench.gpu.report import Report
from bench.gpu.session import Deadline, Session

REPOSITORY = Path(__file__).resolve().parents[2]
COUNTED = ("tests", "failures", "errors", "skipped")
#: A suite that hangs is ended after so many seconds, or when its share of the time is longer, then.
PATIENCE_S = 180


def section(session: Session, report: Report, deadline: Deadline) -> None:
    """Run the tests marked `gpu`, but for those that compile a step: they alone would take minutes."""
    report.figure("left_out", "tests of compiled steps: --only compiled_tests")
    run(session, report, deadline, "not compiled")


def compiled(session: Session, report: Report, deadline: Deadline) -> None:
    """Run the others."""
    run(session, report, deadline, "compiled")


def run(session: Session, report: Report, deadline: Deadline, which: str) -> None:
    """Run tests marked `gpu`, chosen by name; on a GPU some must pass, and none may fail."""
    marked = [
        path
        for path in sorted(REPOSITORY.glob("tests/**/test_*.py"))
        if re.search(r"mark\.gpu\b", path.read_text())
    ]
    results = session.out / "tests.xml"
    results.unlink(missing_ok=True)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-rs",
        "-m",
        "gpu",
        "-k",
        which,
        f"--junitxml={results}",
        *map(str, marked),
    ]
    with (session.out / "tests.txt").open("w") as log:
        done = subprocess.run(
            command,
            cwd=REPOSITORY,
            env=session.environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            timeout=max(PATIENCE_S, deadline.left_s),
            check=False,
        )
    report.figure("exit_code", done.returncode)
    report.check("pytest_ended", results.exists(), f"exit code {done.returncode}, see tests.txt")
    suites = ElementTree.parse(results).getroot().iter("testsuite")
    counts = dict.fromkeys(COUNTED, 0)
    for suite in suites:
        for name in COUNTED:
            counts[name] += int(suite.get(name, 0))
    passed = counts["tests"] - counts["failures"] - counts["errors"] - counts["skipped"]
    if session.device.type == "cpu" and counts["skipped"] == counts["tests"] > 0 and not done.returncode:
        report.needs_cuda("tests_passed")
        return
    for name, count in {"passed": passed, **counts}.items():
        report.figure(f"tests_{name}" if name != "tests" else "tests", count)
    green = done.returncode == 0 and passed > 0
    report.check("all_green", green, f"exit code {done.returncode}, {counts}, see tests.txt")
