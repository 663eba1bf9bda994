"""A process of its own that sets one document: JSON on standard input, a PDF on standard output.

It imports nothing of ours and is started without our environment, so that whatever a document does to it (a name that
makes the typesetter run for ever, or out of memory) ends with it. Its limits are set before anything is read.
"""

import json
import resource
import sys
from datetime import UTC, datetime
from pathlib import Path

CPU_S = 20
MEMORY_BYTES = 1_500_000_000
TEMPLATE = Path(__file__).with_name("statement.typ")


def main() -> None:
    """Set the document."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # it writes no file
    import typst  # noqa: PLC0415 - under the limits

    asked = json.load(sys.stdin.buffer)
    data = asked["data"]
    plain = data | {"accounts": [account | {"logo": None} for account in data["accounts"]]}
    # An archive wants each letter in a font and each picture whole: where a name or a logo denies that, paper all the
    # same, with boxes for the letters, and at last without the logo.
    for archival, content in (True, data), (False, data), (False, plain):
        try:
            made = typst.compile(
                TEMPLATE,
                root=TEMPLATE.parent,
                ignore_system_fonts=True,  # the same on every machine
                sys_inputs={"data": json.dumps(content)},
                pdf_standards="a-2a" if archival else None,
                timestamp=datetime.fromisoformat(asked["made_at"]).astimezone(UTC),
            )
        except typst.TypstError:
            continue
        sys.stdout.buffer.write(made)
        return
    sys.exit(1)


if __name__ == "__main__":
    main()
