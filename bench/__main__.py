"""`python -m bench [--quick] [NAME…]`: run benchmarks, print a JSON object a line, fail when a held one breaks."""

import argparse
import sys
from collections.abc import Awaitable, Callable

import uvloop

from bench import ageing, api_create_invoice, dunning_plan, fair_claim, import_rows, recovery, webhook_pump
from bench.results import Result, held_names
from bench.stage import Stage, stage
from cli.processes import spare_collector

Bench = Callable[..., Awaitable[Result]]
BENCHES: dict[str, Bench] = {
    "dunning_plan": dunning_plan.run,
    "webhook_pump": webhook_pump.run,
    "api_create_invoice": api_create_invoice.run,
    "import": import_rows.run,
    "fair_claim": fair_claim.run,
    "ageing": ageing.run,
    "recovery": recovery.run,
}


def main() -> int:
    """Run what is asked for, else everything."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHES, []], help="which; all where none is named")
    parser.add_argument("--quick", action="store_true", help="one round, smaller: within two minutes")
    options = parser.parse_args()
    broken: list[str] = []
    with stage() as where:
        spare_collector()  # as a worker does; the references have the good of it too
        for name in options.names or BENCHES:
            result = uvloop.run(_run(BENCHES[name], where, quick=options.quick))
            sys.stdout.write(result.line() + "\n")
            sys.stdout.flush()
            if result.broken and name in held_names():
                broken.append(name)
    if broken:
        sys.stderr.write(f"below half of what they held: {', '.join(broken)}\n")
    return 1 if broken else 0


async def _run(bench: Bench, where: Stage, *, quick: bool) -> Result:
    return await bench(where, quick=quick)


if __name__ == "__main__":
    sys.exit(main())
