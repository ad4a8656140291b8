"""The verbs of the command line, and how one of them is loaded when it is meant; must not know what they do."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any, Final, NamedTuple

import typer
from typer.core import TyperGroup

MARKUP: Final = "markdown"


class Verb(NamedTuple):
    name: str
    module: str
    """Where the function of that name stands, below `promotion.cli`."""
    panel: str
    """The heading under which `--help` lists it."""
    example: str


VERBS = (
    Verb("status", "look", "Look", "promotion status 'prod-*' --live"),
    Verb("plan", "look", "Look", "promotion plan prod --diff"),
    Verb("history", "past", "Look", "promotion history prod --since 2d --event promoted,failed"),
    Verb("where", "past", "Look", "promotion where 4f2a91c"),
    Verb("wait", "waiting", "Look", "promotion wait prod --commit 4f2a91c --for 30m"),
    Verb("drift", "proposals", "Look", "promotion drift 'prod-*' --diff"),
    Verb("audit", "past", "Look", "promotion -a shop audit"),
    Verb("promote", "act", "Act", "promotion promote prod --wait 15m"),
    Verb("rollback", "undo", "Act", "promotion rollback prod --reason 'errors at checkout'"),
    Verb("run", "act", "Act", "promotion run --every 30s --sync"),
    Verb("observe", "act", "Act", "promotion observe qa"),
    Verb("sync", "act", "Act", "promotion sync dev --every 30s"),
    Verb("approve", "approving", "Decide", "promotion approve 7c1e9a42"),
    Verb("reject", "approving", "Decide", "promotion reject 7c1e9a42 --reason 'not before the weekend'"),
    Verb("withdraw", "approving", "Decide", "promotion withdraw 7c1e9a42"),
    Verb("hold", "people", "Decide", "promotion hold prod 4f2a91c --reason 'memory leak'"),
    Verb("lift", "people", "Decide", "promotion lift prod 4f2a91c"),
    Verb("freeze", "people", "Decide", "promotion freeze 'prod-*' --until 2h --reason 'an incident'"),
    Verb("thaw", "people", "Decide", "promotion thaw 'prod-*'"),
    Verb("backport", "proposals", "Decide", "promotion backport prod --reason 'the limit is for all'"),
    Verb("resolve", "proposals", "Decide", "promotion resolve prod"),
    Verb("adopt", "people", "Decide", "promotion adopt prod --source 4f2a91c"),
    Verb("configure", "people", "Decide", "promotion configure --reason 'soak for two hours'"),
    Verb("init", "initial", "Set up", "promotion init --repository URL --environments dev=develop,prod=main"),
    Verb("validate", "setup", "Set up", "promotion validate --online"),
    Verb("serve", "setup", "Set up", "promotion serve --with-server --every 30s"),
    Verb("demo", "setup", "Set up", "promotion demo"),
    Verb("schema", "look", "Set up", "promotion schema > environments.schema.json"),
)
_NAMED = {verb.name: verb for verb in VERBS}


class Verbs(TyperGroup):
    """A group whose commands are loaded one by one: all of them take half a second, and a call means one."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        return list(_NAMED)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        return _command(_NAMED[cmd_name]) if cmd_name in _NAMED else None


@cache
def _command(verb: Verb) -> Any:
    function = getattr(import_module(f"promotion.cli.{verb.module}"), verb.name)
    alone = typer.Typer(add_completion=False, rich_markup_mode=MARKUP)
    alone.command(verb.name, rich_help_panel=verb.panel, epilog=f"Example: `{verb.example}`")(function)
    return typer.main.get_command(alone)
