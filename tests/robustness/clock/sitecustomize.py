"""A clock that a test moves while a process runs: FAKE_CLOCK names a file with seconds to add to the wall and to the rest.

Python imports this first where the folder is on PYTHONPATH. The wall is `datetime.now`; the rest is `time.monotonic`, by
which deadlines are kept, so that a process that was stopped finds that all of them are over.
"""

from __future__ import annotations

import datetime
import os
import time
from typing import Any

real, monotonic, wall_time = datetime.datetime, time.monotonic, time.time


def shifts() -> tuple[float, float]:
    with open(os.environ["FAKE_CLOCK"]) as file:  # noqa: PTH123
        wall, rest = file.read().split()
    return float(wall), float(rest)


class AsReal(type):
    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, real)


class Shifted(real, metaclass=AsReal):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Any:
        return real.now(tz) + datetime.timedelta(seconds=shifts()[0])


if "FAKE_CLOCK" in os.environ:
    datetime.datetime = Shifted  # type: ignore[misc]
    time.monotonic = lambda: monotonic() + shifts()[1]
    time.time = lambda: wall_time() + shifts()[0]
