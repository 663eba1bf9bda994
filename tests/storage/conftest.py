import pytest

from storage.events import CATALOGUE
from storage.registry import Registry
from support.probes import PROBES, probe_module
from support.registries import open_registry


@pytest.fixture
def probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The probe's events are in the catalogue for as long as the test runs."""
    for kind, event in PROBES.items():
        monkeypatch.setitem(CATALOGUE, kind, event)


@pytest.fixture
def registry(probes: None) -> Registry:
    """Two consumers of `probe.changed`, and a gate that stands open."""
    return open_registry(probe_module())
