"""The command line: verbs, global options, and the one place where errors become exit statuses. Only here things are printed.

Exit status: 0 done or nothing to do, 1 a bug, 2 usage or configuration, 3 waiting, 4 refused, 5 conflict, 6 verification failed,
75 temporary. What verbs there are, and where, stands in `verbs`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import Annotated

import typer

import promotion
from promotion.cli.context import Call
from promotion.cli.output import bug, failed, give_back_log, set_up_log
from promotion.cli.usage import as_error
from promotion.cli.verbs import MARKUP, Verbs
from promotion.errors import PromotionError

EXAMPLES = """Examples

promotion init --repository git@example.com:deploy/shop.git --environments dev,qa,prod

promotion status

promotion plan prod --diff

promotion promote prod --wait 15m

promotion run --every 30s --sync

`promotion VERB --help` says more about each."""

app = typer.Typer(
    cls=Verbs,
    add_completion=True,
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=MARKUP,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXAMPLES,
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"promotion {promotion.__version__}")
        raise typer.Exit(0)


@app.callback(invoke_without_command=True)
def globally(
    context: typer.Context,
    config: Annotated[
        Path, typer.Option("-c", "--config", metavar="FILE", envvar="PROMOTION_CONFIG", help="The file.")
    ] = Path("environments.yaml"),
    application: Annotated[
        str | None, typer.Option("-a", "--application", metavar="NAME", help="One application, or a glob.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Say what is done, with each git command.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Only answers and errors.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Say it.")] = False,  # noqa: ARG001
) -> None:
    """Moves a change through environments, by Git branch."""
    context.obj = Call(config, application, json=as_json, quiet=quiet, verbose=verbose, environ=dict(os.environ))
    set_up_log(verbose=verbose, quiet=quiet)
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(2)


_command = cache(partial(typer.main.get_command, app))
"""Made once in a process."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    if "--json" in words[1:]:  # where people type it, too
        words = ["--json", *(word for word in words if word != "--json")]
    as_json, verbose = "--json" in words, bool({"-v", "--verbose"} & set(words))
    try:
        status = _command().main(words, prog_name="promotion", standalone_mode=False)
        return status if isinstance(status, int) else 0
    except PromotionError as exc:
        return failed(exc, as_json=as_json)
    except typer.TyperException as exc:
        return failed(as_error(exc, words), as_json=as_json)
    except (KeyboardInterrupt, typer.Abort):
        print("stopped", file=sys.stderr)
        return 130
    except Exception as exc:
        return bug(exc, as_json=as_json, verbose=verbose)
    finally:
        give_back_log()
