"""SSH keys and lists of them, made by ssh-keygen as people make theirs."""

from __future__ import annotations

import subprocess
from pathlib import Path


def key(folder: Path, name: str, passphrase: str = "") -> Path:
    """A new key; its public half is beside it, with `.pub`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    args = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", name, "-f", str(path)]
    subprocess.run(args, check=True, capture_output=True)
    return path


def line(principal: str, key: Path, options: str = "") -> str:
    """One line of an allowed_signers file."""
    kind, text, *_ = key.with_name(f"{key.name}.pub").read_text().split()
    return " ".join(word for word in (principal, options, kind, text) if word) + "\n"
