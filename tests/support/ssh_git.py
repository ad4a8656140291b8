"""A real sshd of one's own on loopback, where Debian's is installed: a key for the host, a key for the client, nothing kept.

`sshd(folder)` yields an `ssh` configuration file with the host `githost` in it (`GIT_SSH_COMMAND="ssh -F FILE"`), or None,
with a reason, where there is no sshd or none that lets us in.
"""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

SSHD = Path("/usr/sbin/sshd")


@dataclass(frozen=True, slots=True)
class Ssh:
    """How to reach it; `missing` is why it cannot be."""

    config: Path
    port: int
    user: str
    missing: str | None = None

    @property
    def command(self) -> str:
        return f"ssh -F {self.config}"


@contextmanager
def sshd(folder: Path) -> Iterator[Ssh]:
    """Runs it until the end of the block."""
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        found = Ssh(folder / "client", free.getsockname()[1], getpass.getuser())
    if not SSHD.exists() or not shutil.which("ssh"):
        yield Ssh(found.config, found.port, found.user, "no sshd here: apt-get install openssh-server")
        return
    _configure(folder, found)
    if os.geteuid() == 0:
        with suppress(OSError):
            Path("/run/sshd").mkdir(
                mode=0o755, exist_ok=True
            )  # where root's sshd locks itself in; its service makes it
    with (folder / "sshd.log").open("wb") as log:
        process = subprocess.Popen(
            [str(SSHD), "-D", "-e", "-f", str(folder / "server")], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        why = None if _lets_us_in(found, process) else f"sshd does not let us in: {(folder / 'sshd.log').read_text()}"
        yield Ssh(found.config, found.port, found.user, why)
    finally:
        process.terminate()
        process.wait(30)


def _configure(folder: Path, ssh: Ssh) -> None:
    for name in ("host", "own"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)],
            check=True,
            stdin=subprocess.DEVNULL,
        )
    public = (folder / "host.pub").read_text().split()[:2]
    (folder / "known").write_text(f"[127.0.0.1]:{ssh.port} {' '.join(public)}\n")
    (folder / "server").write_text(
        f"Port {ssh.port}\nListenAddress 127.0.0.1\nHostKey {folder / 'host'}\nPidFile none\nUsePAM no\nStrictModes no\n"
        f"AuthorizedKeysFile {folder / 'own.pub'}\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n"
    )
    ssh.config.write_text(
        f"Host githost 127.0.0.1\n  HostName 127.0.0.1\n  Port {ssh.port}\n  User {ssh.user}\n  IdentityFile {folder / 'own'}\n"
        f"  IdentitiesOnly yes\n  UserKnownHostsFile {folder / 'known'}\n  BatchMode yes\n  LogLevel ERROR\n"
    )


def _lets_us_in(ssh: Ssh, process: subprocess.Popen[bytes]) -> bool:
    for _ in range(100):
        asked = subprocess.run(
            ["ssh", "-F", str(ssh.config), "githost", "git --version"], capture_output=True, check=False
        )
        if asked.returncode == 0:
            return True
        if process.poll() is not None or b"refused" not in asked.stderr:
            return False
        time.sleep(0.05)
    return False
