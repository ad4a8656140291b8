"""The tiny web service of the demo: `python -m flows.demo_service FOLDER PORT` serves what is deployed in FOLDER/current.

It answers `/healthz` from the files it was deployed with, as a real service would from its own code.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def health(folder: Path) -> tuple[int, dict[str, str]]:
    """Status and answer: the deployed revision, and whether `release.json` says that it is sick here."""
    try:
        current = (folder / "current").resolve(strict=True)
        release = json.loads((current / "release.json").read_text())
    except (OSError, ValueError) as exc:
        return 503, {"status": f"nothing runs here: {exc}"}
    sick = folder.name in release.get("sick_in", [])
    version = current.name.partition(".")[0]
    return (503 if sick else 200), {"status": "sick" if sick else "ok", "version": version, "release": release["name"]}


class Handler(BaseHTTPRequestHandler):
    """One request."""

    folder: Path

    def do_GET(self) -> None:
        status, answer = health(self.folder)
        body = json.dumps(answer).encode()
        self.send_response(status if self.path == "/healthz" else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing: the demo has a screen to share."""


def end_with_parent() -> None:
    """The demo holds the other end of our standard input: when it is gone, so are we."""
    while os.read(0, 4096):
        pass
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=end_with_parent, daemon=True).start()
    Handler.folder = Path(sys.argv[1])
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()
