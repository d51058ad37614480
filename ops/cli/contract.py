"""``churn contract``: what one kind of customer looks like, as a file that people write and programs check."""
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is instant

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ops.cli.options import HELP_STYLE, Decimal, Delimiter, Encoding, Force, Json, Sheet, Thousands, reading
from ops.console import Output

if TYPE_CHECKING:
    from app.contract import Contract
    from app.feature import Feature

BREAKING: Final = 3
"""Exit code of `diff` for a contract that breaks clients: neither a failure nor wrong usage."""

app = typer.Typer(no_args_is_help=True, rich_markup_mode=HELP_STYLE)
File = Annotated[Path, typer.Argument(help="A contract: YAML, or JSON such as the canonical form.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="File to write. Default: standard output.")]


class Target(StrEnum):
    """What a contract can be exported to."""

    ODCS = "odcs"
    JSONSCHEMA = "jsonschema"
    CANONICAL = "canonical"


@app.callback()
def contract() -> None:
    """Write, check and compare contracts: what one kind of customer looks like. docs/contract.md has every key.

    Own customers take four commands: 'churn contract infer' proposes a contract for a file, then train, promote and
    predict with it.

    Example: churn contract infer customers.csv -o customers.yaml
    """


@app.command()
def show(
    file: Annotated[Path | None, typer.Argument(help="A contract. Default: the built-in Telco contract.")] = None,
    *,
    as_json: Json = False,
) -> None:
    """Show the key, the label and every feature, with bounds or categories.

    Example: churn contract show contracts/bank.yaml
    """
    from training.contract_file import read

    parsed = read(file) if file is not None else _built_in()
    output = Output(as_json=as_json)

    def words() -> None:
        output.say(f"{parsed.name}: {parsed.description}" if parsed.description else parsed.name)
        rows = [_row(feature) for feature in parsed.features]
        output.table(("feature", "type", "unit", "value", "blank", "aliases"), rows)
        output.pairs(_pairs(parsed))

    output.result(parsed.model_dump(mode="json"), words)


@app.command()
def check(
    file: File,
    data: Annotated[str | None, typer.Argument(help="Customers, to be checked by the contract too.")] = None,
    *,
    labels: Annotated[bool, typer.Option(help="Whether the customers must have a label.")] = True,
    as_json: Json = False,
) -> None:
    """Check a contract, and a file of customers by it: every mistake at once, each with its line and a remedy.

    Example: churn contract check customers.yaml customers.csv
    """
    from training.contract_file import read

    parsed = read(file)
    output = Output(as_json=as_json)
    result = {"contract": parsed.name, "sha256": parsed.sha256, "features": len(parsed.features)}
    lines = [
        f"{file} is a contract: {parsed.name}, {len(parsed.features)} features, {parsed.series} bins in Prometheus"
    ]
    if data is not None:
        from training.data import load

        with output.waiting("Checking the customers"):
            dataset = load(data, parsed, labelled=labels)
        result |= {"rows": len(dataset.customers), "notes": list(dataset.notes)}
        lines += [f"{data} fits it: {len(dataset.customers):,} rows", *dataset.notes]
    output.result(result, lambda: output.say("\n".join(lines)))


@app.command()
def diff(old: File, new: File, *, as_json: Json = False) -> None:
    """Compare two contracts: can clients of the old one go on with the new one?

    Every difference is named. Exit code 0: same, or compatible, so each customer that was valid still is; 3: breaking.

    Example: churn contract diff contracts/bank.yaml customers.yaml
    """
    from app.compatibility import compare
    from training.contract_file import read

    difference = compare(read(old), read(new))
    output = Output(as_json=as_json)
    reasons = [{"column": r.column, "difference": r.text, "breaking": r.breaking} for r in difference.reasons]

    def words() -> None:
        output.say(difference.verdict)
        for reason in difference.reasons:
            output.say(f"  {'breaks' if reason.breaking else 'is fine'}: {reason}")

    output.result({"verdict": difference.verdict, "reasons": reasons}, words)
    if difference.verdict == "breaking":
        raise typer.Exit(BREAKING)


@app.command()
def schema(*, out: Out = None, force: Force = False) -> None:
    """Print the JSON Schema of a contract, by which editors complete keys and underline mistakes.

    A contract names it in its first line: # yaml-language-server: $schema=contract.schema.json

    Example: churn contract schema -o contracts/contract.schema.json --force
    """
    from training.contract_export import contract_schema

    _deliver(contract_schema(), out, overwrite=force)


@app.command()
def export(
    file: File,
    *,
    to: Annotated[Target, typer.Option(help="odcs: the Open Data Contract Standard 3.2, as YAML. jsonschema: of a "
                                       "customer in JSON. canonical: as a model carries it.")],
    out: Out = None,
    force: Force = False,
) -> None:  # fmt: skip
    """Write a contract in another form.

    Example: churn contract export contracts/bank.yaml --to odcs -o bank.odcs.yaml
    """
    from training import contract_export
    from training.contract_file import read

    write = {
        Target.ODCS: contract_export.odcs,
        Target.JSONSCHEMA: contract_export.customer_schema,
        Target.CANONICAL: contract_export.canonical,
    }[to]
    _deliver(write(read(file)), out, overwrite=force)


@app.command(name="import")
def import_(
    file: Annotated[Path, typer.Argument(help="A contract of the Open Data Contract Standard 3: YAML or JSON.")],
    *,
    table: Annotated[str | None, typer.Option(help="Which schema object, if there are several.")] = None,
    label: Annotated[str | None, typer.Option(help="The property that tells who churned.")] = None,
    out: Out = None,
    force: Force = False,
) -> None:
    """Turn a data contract that you have (ODCS 3.0, 3.1 or 3.2) into one of ours, with comments on what is missing.

    Example: churn contract import customers.odcs.yaml --label exited -o customers.yaml
    """
    from training.contract_odcs import read_odcs

    _deliver(read_odcs(file, table=table, label=label), out, overwrite=force)


@app.command()
def infer(
    data: Annotated[
        str,
        typer.Argument(help="Customers: CSV, Excel or Parquet, a path, folder or pattern, or s3://bucket/key."),
    ],
    *,
    label: Annotated[str | None, typer.Option(help="The column that tells who churned.")] = None,
    key: Annotated[str | None, typer.Option("--id", help="The column of the customers' key.")] = None,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    decimal: Decimal = None,
    thousands: Thousands = None,
    sheet: Sheet = None,
    out: Out = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Propose a contract for a file of customers, as YAML with comments.

    Types, categories, bounds with margins, key and label come from the file, and so do hints: leaks, identifiers,
    constant columns, blanks, repeated rows, the balance of the classes. Nothing of a single customer is written.
    The options for encoding, delimiter, marks and sheet go into the contract too.

    Example: churn contract infer customers.csv --label exited --id account -o customers.yaml
    """
    if out is not None:
        from training.files import check_folder, check_free

        check_free(out, overwrite=force)
        check_folder(out.parent)
    from training.contract_infer import infer as propose

    options = reading(encoding=encoding, delimiter=delimiter, decimal=decimal, thousands=thousands, sheet=sheet)
    output = Output(as_json=as_json)
    # Standard output is the contract's, unless it is written to a file.
    with Output(as_json=as_json or out is None).waiting("Reading the customers"):
        proposal = propose(data, label=label, key=key, reading=options)
    if out is not None:
        _deliver(proposal.yaml, out, overwrite=force, quiet=True)
    result = {
        "path": str(out) if out else None,
        "yaml": proposal.yaml,
        "features": list(proposal.contract.names),
        "remarks": list(proposal.remarks),
    }

    def words() -> None:
        if out is None:
            typer.echo(proposal.yaml, nl=False)
        else:
            output.say("\n".join([f"Wrote {out}: {len(proposal.contract.features)} features", *proposal.remarks]))

    output.result(result, words)


def _built_in() -> Contract:
    from app.schemas import telco

    return telco()


def _row(feature: Feature) -> tuple[str, ...]:
    from app.feature import Constant, Formula

    blank = feature.blank
    rule = (
        blank.expression
        if isinstance(blank, Formula)
        else repr(blank.constant)
        if isinstance(blank, Constant)
        else blank
    )
    value = feature.expected.removesuffix(", or blank")
    return feature.name, feature.type, feature.unit or "", value, rule or "", ", ".join(feature.aliases)


def _pairs(contract: Contract) -> list[tuple[str, str]]:
    """What a contract says besides its features."""
    key, label, cost = contract.key, contract.label, contract.cost
    pairs = [
        ("Key", ", ".join([key.name, *key.aliases]) + f" ({key.pattern})"),
        ("Label", ", ".join([label.name, *label.aliases])),
        ("As of", contract.as_of or ""),
        ("Money at risk", contract.money_at_risk or ""),
        ("Slices", ", ".join(contract.slices)),
        ("Fairness", _limits(contract)),
        ("Cost", f"an offer {cost.offer_cost:g}, a customer {cost.customer_value:g}, retained {cost.retained_share:g}"),
        ("Ignored", ", ".join(contract.ignored)),
        ("Leaks", ", ".join(contract.leaks)),
        ("Digest", contract.sha256),
    ]
    return [(name, value) for name, value in pairs if value]


def _limits(contract: Contract) -> str:
    """The limits of fairness, with the slices that they are for; empty without any."""
    fairness = contract.fairness
    if fairness is None:
        return ""
    limits = fairness.model_dump(exclude={"slices", "undecided"}, exclude_none=True)
    shown = ", ".join(f"{name} {value:g}" for name, value in limits.items())
    return f"{', '.join(fairness.slices)}: {shown}; undecided: {fairness.undecided}"


def _deliver(text: str, out: Path | None, *, overwrite: bool, quiet: bool = False) -> None:
    """Write a text to a file, completely or not at all, or to standard output."""
    if out is None:
        typer.echo(text, nl=False)
        return
    from training.outputs import replaced

    with replaced(out, overwrite=overwrite) as path:
        path.write_text(text, encoding="utf-8")
    if not quiet:
        Output().say(f"Wrote {out}")
