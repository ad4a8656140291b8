"""Where Prefect's processes come in: the one place of `flows` that reads the process's own variables and arguments.

python -m flows.entry server|runner|rounds JSON     a child of `promotion serve`; ends when its parent is gone
"""

from __future__ import annotations

import json
import logging
import os
import pkgutil
import signal
import sys
import threading
from collections.abc import Mapping

from promotion.errors import PromotionError

log = logging.getLogger("flows")

CHILDREN = {
    "server": "flows.children:become",
    "runner": "flows.deployments:run",
    "rounds": "flows.rounds:run_rounds",
}
"""Each takes the options and the variables. By name: no child needs all of them, and flows import this module."""


def environ() -> Mapping[str, str]:
    """The variables of this process, for the flows that Prefect starts."""
    return dict(os.environ)


def main() -> int:
    """Runs one child of `serve` until it is told to end."""
    kind, options = sys.argv[1], json.loads(sys.argv[2])
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    logging.basicConfig(format=f"%(asctime)s {kind}: %(message)s", datefmt="%H:%M:%S", level=logging.WARNING)
    logging.getLogger("promotion").setLevel(options.get("level", logging.INFO))
    log.setLevel(options.get("level", logging.INFO))
    try:
        return int(pkgutil.resolve_name(CHILDREN[kind])(options, environ()))
    except PromotionError as exc:
        log.error("%s%s", exc, f" ({exc.hint})" if exc.hint else "")
        return exc.exit_status


def _end_with_parent() -> None:
    """The parent holds the other end of our standard input: when it is gone, however it went, so are we."""
    while os.read(0, 4096):
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
