"""Changes between the import of all files and the first moment of watching them."""

import os
import time
from pathlib import Path

from amplifier.imports import formats, watch
from tests.support.session_files import Claude, write


def test_files_that_changed_meanwhile_are_found(tmp_path: Path) -> None:
    old = write(tmp_path / "old.jsonl", [Claude("old").say("one")])
    os.utime(old, (0, 0))
    new = write(tmp_path / "new.jsonl", [Claude("new").say("one")])
    assert watch._changed_since([tmp_path], formats.AUTO, time.time() - 60) == {new}
