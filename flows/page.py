"""The page of a run, and its name. Prefect being away is no reason for a hop to fail: then there is no page."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from uuid import UUID

from prefect.exceptions import ObjectNotFound
from prefect.runtime import flow_run

from flows import pages
from flows.api import Api
from promotion.errors import TemporaryError

log = logging.getLogger(__name__)


@dataclass
class Page:
    """The page of this run; without `run` there is none."""

    api: Api
    run: UUID | None
    key: str

    def show(self, headline: str | None, text: str) -> None:
        """Writes the page. The headline stands above it, and alone where Prefect lists pages."""
        if self.run is None:
            return
        description = f"**{pages.escape(headline)}**"
        try:
            self.api.show(self.key, "markdown", run=self.run, data=text, description=description)
        except (TemporaryError, ObjectNotFound) as exc:
            log.warning("this run's page is not written: %s", exc)

    def name(self, name: str) -> None:
        if self.run is None or flow_run.name == name:
            return
        try:
            self.api.rename(self.run, name)
        except (TemporaryError, ObjectNotFound) as exc:
            log.warning("this run keeps its name: %s", exc)
