"""Reading the state of a long ledger and appending to it, against the same on a short one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from bench import records
from bench.commands import FILE
from bench.hop import PLAIN
from promotion import ledger
from promotion.config import load
from promotion.events import Event
from promotion.observe import Site, survey
from promotion.repository import Update
from promotion.sites import open_sites, utc_now
from promotion.stored import to_json


@dataclass(frozen=True, slots=True)
class Costs:
    """Median seconds, and the bytes of the folded state."""

    read: float
    append: float
    state: int


def measure(folder: Path, lengths: tuple[int, int], rounds: int) -> tuple[Costs, Costs]:
    """The short and the long one take turns, so that what else the machine does hits both."""
    took: list[tuple[list[float], list[float]]] = [([], []), ([], [])]
    with ExitStack() as stack:
        sites = [stack.enter_context(_ledger(folder / str(length), length)) for length in lengths]
        for _ in range(rounds + 2):
            for site, (reads, appends) in zip(sites, took, strict=True):
                site.repository.memo.clear()  # else the state of this tip is known from the append
                reads.append(_timed(partial(survey, site)))
                appends.append(_timed(partial(_append, site)))
        sizes = [len(records.dumped(to_json(survey(site).state))) for site in sites]
    short, long = (
        Costs(median(reads[2:]), median(appends[2:]), size) for (reads, appends), size in zip(took, sizes, strict=True)
    )
    return short, long


@contextmanager
def _ledger(folder: Path, length: int) -> Iterator[Site]:
    past = records.promoted(folder / "shop.git", max(1, length // 8))
    file = folder / "environments.yaml"
    file.write_text(FILE.format(repository=past.origin))
    (application,) = load(file).applications
    records.write(past.origin, application.name, records.walk(application, past, length))
    environ = {**PLAIN, "PROMOTION_CACHE": str(folder / "cache"), "HOME": str(folder)}
    with open_sites(load(file), environ) as (site,):
        yield site


def _append(site: Site) -> None:
    """Reads, writes one event, pushes it, and looks whether it landed."""
    world = survey(site)
    event = Event("lifted", site.application.name, "prod", utc_now(), "bench", {"commit": "0" * 40})
    tip, _ = ledger.append(site.repository, world.ledger, world.state, [event])
    assert tip is not None
    site.repository.push([Update(site.application.ledger, world.ledger, tip)])
    if survey(site).ledger != tip:
        raise SystemExit("the event that is measured did not land")


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
