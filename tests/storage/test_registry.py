from types import ModuleType

import pytest

from storage.registry import Registry, reacts_to, runs, ticks
from support.probes import FIRST, SECOND, first, probe_module, second
from support.registries import OpenGate, let_die


@ticks("probe")
async def tick(*_: object) -> None: ...


@runs("probe.run")
async def job(*_: object) -> None: ...


@reacts_to("probe.nobody_declares")
async def stray(*_: object) -> None: ...


def unmarked() -> None: ...


def module_of(*handlers: object) -> ModuleType:
    module = ModuleType(__name__)
    for handler in handlers:
        setattr(module, getattr(handler, "__name__", ""), handler)
    return module


def test_what_is_marked_is_collected_under_its_dotted_name(probes: None) -> None:
    registry = Registry()
    registry.collect(probe_module(), module_of(tick, job, unmarked))
    registry.seal(gate=OpenGate(), on_dead=let_die)
    assert registry.reactions == {FIRST: first, SECOND: second}
    assert registry.consumers("probe.changed") == (FIRST, SECOND)
    assert registry.consumers("probe.ignored") == ()
    assert (registry.ticks, registry.jobs) == ({"probe": tick}, {"probe.run": job})
    assert registry.on_dead is let_die


def test_what_is_only_imported_is_left_to_its_own_module() -> None:
    registry = Registry()
    registry.collect(module_of(first))
    assert registry.reactions == {}


def test_a_reaction_to_an_event_that_nobody_declares_is_refused() -> None:
    registry = Registry()
    registry.collect(module_of(stray))
    with pytest.raises(RuntimeError, match=r"nobody declares: probe\.nobody_declares"):
        registry.seal(gate=OpenGate(), on_dead=let_die)
    assert not registry.sealed


def test_a_sealed_registry_takes_nothing_more_and_an_open_one_gives_nothing() -> None:
    registry = Registry()
    with pytest.raises(RuntimeError, match="not sealed"):
        _ = registry.gate
    with pytest.raises(RuntimeError, match="not sealed"):
        _ = registry.on_dead
    registry.seal(gate=OpenGate(), on_dead=let_die)
    with pytest.raises(RuntimeError, match="sealed"):
        registry.collect(module_of(tick))
