"""What kinds of table there are."""

from enum import StrEnum


class FileFormat(StrEnum):
    """What kind of table a file is, by its content and not by its name."""

    CSV = "csv"
    NDJSON = "ndjson"
    XLSX = "xlsx"
