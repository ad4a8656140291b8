"""A PostgreSQL of our own, Debian's, on loopback and in a folder that goes away; never as root, which it refuses."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any


def programs() -> Path:
    """The folder of its programs; they are not in PATH on Debian."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: float(p.parts[-3]))
    other = shutil.which("initdb")
    assert found or other, "PostgreSQL is not installed: apt-get install postgresql"
    return (found[-1] if found else Path(other or "").resolve()).parent


def user() -> dict[str, Any]:
    """What makes a child of root somebody else's."""
    return {"user": "nobody", "group": pwd.getpwnam("nobody").pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}


@dataclass
class Postgres:
    """One server process."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    @classmethod
    def start(cls, port: int) -> Postgres:
        """Not below pytest's folders: nobody else may enter those."""
        folder = Path(tempfile.mkdtemp(prefix="promotion-postgres-"))
        if os.geteuid() == 0:
            known = pwd.getpwnam("nobody")
            os.chown(folder, known.pw_uid, known.pw_gid)
        data, common = folder / "data", {"cwd": folder, "stdin": subprocess.DEVNULL, **user()}
        init = [str(programs() / "initdb"), "-D", str(data), "-U", "prefect", "--auth=trust", "-E", "UTF8", "--no-sync"]
        subprocess.run([*init, "--locale=C"], check=True, stdout=subprocess.DEVNULL, **common)
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": str(folder),
            "fsync": "off",
        }
        words = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        argv = [str(programs() / "postgres"), "-D", str(data), *words]
        process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **common)
        return cls(folder, port, process)

    @property
    def url(self) -> str:
        """For Prefect; the database is the one that every cluster has."""
        return f"postgresql+asyncpg://prefect@127.0.0.1:{self.port}/postgres"

    def stop(self) -> None:
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(30)
        shutil.rmtree(self.folder, ignore_errors=True)
