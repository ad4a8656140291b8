"""One-time codes of people's authenticators (RFC 6238): a door to pyotp and to where seeds are; must not print or keep one."""

from __future__ import annotations

import binascii
import hmac
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from promotion.errors import ConfigError
from promotion.model import Seed

AROUND = (0, -1, 1)
"""The steps beside the present one at which a code counts: clocks differ, and people type."""
LONGEST = 4096


def step(seed: str, code: str, now: datetime, who: str) -> int | None:
    """The step of 30 seconds that a code belongs to, at most one away from now; None for a wrong one. Raises ConfigError."""
    import pyotp  # 10 ms, and few commands are told a code

    typed = code.replace(" ", "")
    if not re.fullmatch(r"[0-9]{6}", typed):
        return None
    try:
        codes = pyotp.TOTP(seed)
        present = int(now.timestamp()) // codes.interval
        found = (present + n for n in AROUND if hmac.compare_digest(codes.generate_otp(present + n), typed))
        return next(found, None)
    except (binascii.Error, ValueError) as exc:
        raise ConfigError(f"the seed of {who} is none: base32, as authenticators take it, of 112 bits or more") from exc


def seed(where: Seed, who: str, environ: Mapping[str, str]) -> str:
    """A person's seed, read where it is used. Raises ConfigError, which never repeats it."""
    place = f"code_env {where.code_env}" if where.code_env else f"code_file {where.code_file}"
    if where.code_env:
        text = environ.get(where.code_env, "")
    else:
        try:
            with Path(where.code_file).open("rb") as file:
                text = file.read(LONGEST).decode("ascii", "replace")
        except OSError as exc:
            what = (exc.strerror or str(exc)).lower()
            raise ConfigError(f"the seed of {who} cannot be read: {what}", where=place) from exc
    found = text.strip().replace(" ", "").replace("-", "")
    if not found:
        raise ConfigError(f"there is no seed of {who}", where=place)
    return found
