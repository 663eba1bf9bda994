"""`python -m checks.all`: every step of `make check`, two at a time; what fails shows its output, and all are run."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
AT_ONCE = 2
LIMIT_S = 600


class Step(NamedTuple):
    """One check: what it promises, and the command that judges it."""

    promise: str
    command: tuple[str, ...]


class Outcome(NamedTuple):
    """How a step ended."""

    step: Step
    passed: bool
    output: str
    took_s: float


STEPS = (  # the slow ones first, so that the others run beside them
    Step("types: pyright strict", ("pyright",)),
    Step("migrations: up, down one, up, no drift, squawk", ("python", "-m", "checks.migrations")),
    Step("format: ruff", ("ruff", "format", "--check")),
    Step("lint: ruff", ("ruff", "check")),
    Step("layers: import-linter", ("lint-imports",)),
    Step("own rules", ("python", "-m", "checks")),
    Step("first-party guard and other tests of the project", ("python", "-m", "pytest", "tests/project")),
    Step("spelling: codespell", ("codespell",)),
    Step("OpenAPI: the committed file is what the code says", ("relance", "openapi", "--check")),
    Step("event schemas: the committed files are what the code says", ("relance", "events", "--check")),
)


def run(step: Step) -> Outcome:
    """Run one step to its end or its time limit."""
    program, *arguments = step.command
    began = time.monotonic()
    try:
        done = subprocess.run(
            [str(BIN / program), *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        return Outcome(step, passed=False, output=f"{late}\n", took_s=time.monotonic() - began)
    return Outcome(step, done.returncode == 0, done.stdout, time.monotonic() - began)


def main() -> int:
    """Run every step, say how each ended, and end 1 where one failed."""
    failed = 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for outcome in pool.map(run, STEPS):
            print(
                f"{'ok    ' if outcome.passed else 'FAILED'} {outcome.step.promise} ({outcome.took_s:.1f} s)",
                flush=True,
            )
            if not outcome.passed:
                failed += 1
                print(f"       $ {' '.join(outcome.step.command)}\n{outcome.output.rstrip()}\n", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
