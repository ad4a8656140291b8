"""A real Prometheus, Debian's, on loopback, and a service that it scrapes whose numbers a test sets."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from tests.support.apiserver import free_ports, until

PROGRAM = "prometheus"
CONFIG = """\
global: {scrape_interval: 500ms, scrape_timeout: 500ms}
scrape_configs:
  - {job_name: shop, static_configs: [{targets: ["127.0.0.1:%d"]}]}
"""


def missing() -> str:
    """Why none can be started; '' when one can."""
    return "" if shutil.which(PROGRAM) else f"no {PROGRAM}: apt-get install prometheus"


@dataclass
class Measured:
    """A Prometheus, and what it is told at each scrape: lines of samples; None: the service is down."""

    url: str
    process: subprocess.Popen[bytes]
    samples: dict[str, str] = field(default_factory=dict)
    up: bool = True

    def asked(self, query: str) -> list[dict[str, Any]]:
        """What the tests themselves are answered, and not by the code that they test."""
        answer = httpx.get(f"{self.url}/api/v1/query", params={"query": query}, trust_env=False, timeout=30)
        found: list[dict[str, Any]] = answer.raise_for_status().json()["data"]["result"]
        return found

    def set(self, samples: Mapping[str, str]) -> None:
        """These series and no others, known to Prometheus when it returns."""
        self.samples.clear()
        self.samples.update(samples)
        until(lambda: {s: self._value(s) for s in samples} == dict(samples))

    def _value(self, series: str) -> str | None:
        found = self.asked(series)
        return found[0]["value"][1] if len(found) == 1 else None

    def wait(self, seconds: float) -> None:
        """Lets time pass, by Prometheus' own clock."""
        begun = self._now()
        until(lambda: self._now() - begun >= seconds)

    def _now(self) -> float:
        return float(self.asked("time()")[1])  # type: ignore[arg-type]  # a scalar: its time and its value


@contextmanager
def prometheus(folder: Path) -> Iterator[Measured]:
    """Ready to be asked; ended, with its service, when the block is."""
    (port,) = free_ports(1)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = "".join(f"{name} {value}\n" for name, value in list(measured.samples.items())).encode()
            self.send_response(200 if measured.up else 503)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as service:
        serving = threading.Thread(target=service.serve_forever, kwargs={"poll_interval": 0.01})
        config = folder / "prometheus.yml"
        config.write_text(CONFIG % service.server_address[1])
        command = [PROGRAM, f"--config.file={config}", f"--storage.tsdb.path={folder}/data"]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)
        measured = Measured(f"http://127.0.0.1:{port}", process)
        serving.start()
        try:
            until(lambda: _ready(measured))
            yield measured
        finally:
            process.kill()
            process.wait(30)
            service.shutdown()
            serving.join(30)


def _ready(measured: Measured) -> bool:
    assert measured.process.poll() is None, "prometheus has ended"
    with suppress(httpx.TransportError):
        return httpx.get(f"{measured.url}/-/ready", trust_env=False).is_success
    time.sleep(0.05)
    return False
