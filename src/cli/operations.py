"""`docs/operations.md`, made from the settings that the code reads."""

from typing import Final

from cli.settings import VARIABLES

_HEAD: Final = """# Operations

This page is made from the code (`relance settings`); a test holds it to it.

## Processes

| command | does | how many |
|---|---|---|
| `relance serve` | answers HTTP | any number, behind a load balancer |
| `relance worker` | works off every queue | any number, on any machine |
| `relance migrate` | brings an external database to this version; one deploy at a time | once per deploy |
| `relance maintain` | partitions ahead, retention; exits 1 when rows went to a default partition | daily |
| `relance up` | serve and worker beside the embedded servers | on a developer's machine |

Every process may be killed at any instant: leased work returns after its lease, a message whose call may have been
made is held as `unknown` with a task, events are numbered and delivered by whoever looks next. A stop by SIGTERM
finishes the round that has begun.

## Servers of yours

PostgreSQL 15 or newer and Valkey or Redis. One URL a role, since a role that was taken on can be put off again;
`relance migrate` makes the roles, their passwords are yours to set:

```sh
export RELANCE_DATABASE_URL=postgresql+asyncpg://relance_app:…@db/relance
export RELANCE_DISPATCHER_URL=postgresql+asyncpg://relance_dispatcher:…@db/relance
export RELANCE_PUMP_URL=postgresql+asyncpg://relance_pump:…@db/relance
export RELANCE_OWNER_URL=postgresql+asyncpg://postgres:…@db/relance    # migrate and maintain only
export RELANCE_REDIS_URL=redis://cache:6379/0
export RELANCE_KEY_FILE=/run/secrets/relance.key    # 32 bytes; lose it and every sealed field is lost
```

Valkey only rings a bell and counts requests: flushing it loses no work and delays none by more than a few seconds.

## Health

`/health/live` says that the process runs, `/health/ready` that it can answer (it fails while stopping),
`/health/startup` that it has started. `/metrics` exists where `RELANCE_METRICS_TOKEN` is set, for whoever sends it. The
main alarm is `queue_oldest_due_age_seconds`.

## Settings

| variable | default | meaning |
|---|---|---|
"""


def page() -> str:
    """The whole page."""
    rows = "".join(
        f"| `{variable.name}` | {f'`{variable.default}`' if variable.default else ''} | {variable.meaning} |\n"
        for variable in VARIABLES
    )
    return _HEAD + rows
