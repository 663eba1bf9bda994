"""Whether two databases hold the same rows: counts per table, and every column but ids, instants and ciphertext."""

from typing import Final

import asyncpg

from bench.stage import Stage, dsn

_SHOWN: Final = 3


async def assert_same_rows(stage: Stage, ours: str, reference: str) -> dict[str, int]:
    """Compare table by table; answers how many rows each holds. Raises AssertionError naming the first that differ."""
    mine, other = await _contents(stage, ours), await _contents(stage, reference)
    for table, rows in mine.items():
        assert len(rows) == len(other[table]), (
            f"{table}: {len(rows)} rows of ours, {len(other[table])} of the reference"
        )
        differing = [pair for pair in zip(rows, other[table], strict=True) if pair[0] != pair[1]]
        assert not differing, f"{table}: {len(differing)} rows differ, as {differing[:_SHOWN]}"
    return {table: len(rows) for table, rows in mine.items()}


async def _contents(stage: Stage, name: str) -> dict[str, list[str]]:
    connection = await asyncpg.connect(dsn(stage.urls(name).owner or ""), server_settings={"timezone": "UTC"})
    try:
        tables: dict[str, list[str]] = {}
        for table, column, is_compared in await connection.fetch(_COLUMNS):
            tables.setdefault(table, [])
            if is_compared:
                tables[table].append(_MASKED.format(column=column))
        return {
            table: [
                line
                for (line,) in await connection.fetch(_LINES.format(columns=", ".join(columns) or "''", table=table))
            ]
            for table, columns in tables.items()
        }
    finally:
        await connection.close()


# A due instant is what a decision computes, so it is compared; every other instant says when something was written.
_COLUMNS: Final = """
select c.table_name, c.column_name,
  c.data_type not in ('uuid', 'bytea', 'timestamp with time zone') or (c.table_name, c.column_name) = ('due', 'due_at')
from information_schema.columns c
join pg_class k on k.relname = c.table_name and k.relnamespace = 'app'::regnamespace and not k.relispartition
where c.table_schema = 'app' and k.relkind in ('r', 'p')
order by c.table_name, c.ordinal_position
"""
_LINES: Final = "select concat_ws(' | ', {columns}) as line from app.{table} order by 1"
# Ids and instants within text, as payloads hold them.
_MASKED: Final = (
    r"regexp_replace(regexp_replace({column}::text, '\m[a-z]{{3}}_[0-9a-z]{{24,26}}\M', 'ID', 'g'),"
    r" '\m\d{{4}}-\d\d-\d\dT[0-9:.]+Z', 'AT', 'g')"
)
