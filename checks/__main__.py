"""`python -m checks [PATH…]`: print each breach of our own rules, and end 1 where there is one."""

import sys
from pathlib import Path

from checks.rules import examine

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("src", "tests", "bench", "checks", "migrations")


def main(arguments: list[str]) -> int:
    """Read the files named, or every Python file of the project."""
    paths = [Path(name).resolve() for name in arguments]
    paths = paths or sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
    findings = [
        finding for path in paths for finding in examine(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8"))
    ]
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
