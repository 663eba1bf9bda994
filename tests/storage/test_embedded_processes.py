"""One embedded server, from its launch to its end."""

import tempfile
import time
from pathlib import Path

from storage.embedded import processes, valkey
from storage.embedded.layout import layout
from storage.embedded.ownership import let_through, make_folder, runner
from storage.embedded.passwords import load_or_make
from storage.embedded.programs import find


def test_one_that_is_just_being_started_is_ended_at_once() -> None:
    with tempfile.TemporaryDirectory(prefix="rel-") as folder:  # not pytest's: the path of a socket is short
        place, who = layout(Path(folder) / "data"), runner()
        place.data_dir.mkdir(mode=0o700)
        let_through(place.data_dir, who)
        program = find(who, place.of("programs")).valkey
        make_folder(place.of("run"), who)
        server = valkey.server(place, who)
        valkey.prepare(place, who, load_or_make(place), fsync=False)
        for _ in range(10):  # it is not itself before its exec, and that takes a moment of chance
            processes.launch(server, program)
            began = time.monotonic()
            processes.end([server])
            assert time.monotonic() - began < processes.STOP_LIMIT_S / 2
            assert not processes.is_alive(server)
