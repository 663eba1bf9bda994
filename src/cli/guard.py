"""Refuse to start where a dependency ships a package that wins over one of ours."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


class PackageShadowed(RuntimeError):
    """Another distribution's package stands in for one of ours."""


def refuse_shadowed_packages(root: Path = ROOT) -> None:
    """Stop before anything runs if `import webhooks` would bring someone else's code."""
    for init in sorted(root.glob("*/__init__.py")):
        name = init.parent.name
        spec = importlib.util.find_spec(name)
        if spec is None or Path(spec.origin or "").resolve() != init:
            raise PackageShadowed(f"{name} comes from {spec.origin if spec else 'nowhere'}, not from {init}")
