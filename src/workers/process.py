"""One worker process: the loops, and beside them an arq worker that does nothing but ring their bells.

The arq worker dies when Valkey is away (reference/reliability, experiment O); the loops live on and find their work
by looking, so it is simply started again.
"""

from typing import Any, Final

import anyio
from arq import Worker, func
from arq.connections import RedisSettings

from runtime.logs import logger
from workers.doorbell import JOB, QUEUE, deserialize, serialize
from workers.engine import Engine
from workers.loops import Bells, run

RESTART_S: Final = 2.0
log: Final = logger("workers.process")


async def work(engine: Engine, redis: RedisSettings | None, stopping: anyio.Event, *, queue: str = QUEUE) -> None:
    """Work until `stopping`; rounds that have begun are finished."""
    bells = Bells()
    async with anyio.create_task_group() as group:
        if redis is not None:
            group.start_soon(_listen, redis, bells, queue)
        await run(engine, bells, stopping)
        group.cancel_scope.cancel()


async def _listen(redis: RedisSettings, bells: Bells, queue: str) -> None:
    async def wake(ctx: dict[Any, Any], *args: Any) -> None:  # Any: arq's own
        del ctx
        bells.ring(str(args[0]))

    while True:
        worker = Worker(
            functions=[func(wake, name=JOB, timeout=10, max_tries=1, keep_result=0)],
            redis_settings=redis,
            queue_name=queue,
            handle_signals=False,
            retry_jobs=False,
            keep_result=0,
            max_tries=1,
            job_timeout=10,
            max_jobs=50,
            poll_delay=0.1,
            health_check_interval=30,
            job_serializer=serialize,
            job_deserializer=deserialize,
        )
        try:
            await worker.async_run()
        except Exception as error:  # noqa: BLE001 - Valkey is away: the loops look by themselves meanwhile
            log.warning("doorbell worker ended", error=type(error).__name__)
        finally:
            await _close(worker)
        await anyio.sleep(RESTART_S)


async def _close(worker: Worker) -> None:
    with anyio.CancelScope(shield=True), anyio.move_on_after(2):
        try:
            await worker.close()
        except Exception as error:  # noqa: BLE001 - it says good-bye to a Valkey that may be away
            log.warning("doorbell worker not closed", error=type(error).__name__)
