"""What operations of the document have in common: answers told once, and links from an id to where it is asked for."""

import re
from collections.abc import Iterator
from typing import Any, Final

Json = dict[str, Any]  # Any: JSON
_ONE: Final = re.compile(r"^(?P<list>.+)/\{(?P<name>[^}]+)\}(?P<verb>/[a-z_]+)?$")
_JOB: Final = "/v1/jobs/{job_id}"
_CODE: Final = re.compile(r"`([a-z0-9_]+)`")
_ACCEPTED: Final = "202"
ID_AT: Final = "x-id-at"  # a note of `openapi` to this module: where a creation's answer holds the new id


def link(paths: Json) -> None:
    """Write the links of every list, every creation and every job into the document."""
    for path, methods in paths.items():
        for method, operation in methods.items():
            for status, pointer, root in _ids(path, method, operation):
                links = {
                    target["operationId"]: {
                        "operationId": target["operationId"],
                        "parameters": {name: f"$response.body#{pointer}"},
                    }
                    for name, target in _targets(paths, root)
                }
                if links:
                    operation["responses"][status]["links"] = links


def shared(paths: Json) -> Json:
    """Take the refusals that several operations answer alike out of them, and name them by their codes."""
    found: Json = {}
    for methods in paths.values():
        for operation in methods.values():
            responses: Json = operation["responses"]
            for status, answer in responses.items():
                codes = _CODE.findall(answer["description"])
                if codes and operation["security"]:  # open operations say less of the same
                    name = f"{status}-{'-'.join(codes)}"
                    found[name] = answer
                    responses[status] = {"$ref": f"#/components/responses/{name}"}
    return dict(sorted(found.items()))


def _ids(path: str, method: str, operation: Json) -> Iterator[tuple[str, str, str]]:
    """Which answer of an operation holds an id, where, and of what."""
    responses: Json = operation["responses"]
    if _ACCEPTED in responses:
        yield _ACCEPTED, "/id", _JOB.rpartition("/")[0]
    if "{" in path:
        return
    if method == "post" and "201" in responses:
        yield "201", operation.pop(ID_AT, "/id"), path
    if method == "get" and any(each["name"] == "cursor" for each in operation["parameters"]):
        yield "200", "/data/0/id", path


def _targets(paths: Json, root: str) -> Iterator[tuple[str, Json]]:
    for path, methods in paths.items():
        found = _ONE.match(path)
        if found is not None and found["list"] == root:
            for target in methods.values():
                yield found["name"], target
