"""mypy reads the services of AWS' package that the program uses, and no others: their types would count for nothing."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

from support.paths import ROOT

PACKAGE = "pulumi_aws"


def services(path: Path) -> set[str]:
    """The services that a file imports, or reaches through the whole package as `aws.eks`."""
    tree = ast.parse(path.read_text("utf-8"))
    aliases, used = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == PACKAGE:
            used |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(f"{PACKAGE}."):
            used.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            aliases |= {alias.asname or alias.name for alias in node.names if alias.name == PACKAGE}
            used |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith(f"{PACKAGE}.")}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in aliases:
            used.add(node.attr)
    return {name for name in used if name.islower()}


def test_the_configuration_names_every_service_in_use_and_no_other() -> None:
    overrides = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["mypy"]["overrides"]
    (read,) = [each["module"] for each in overrides if PACKAGE in each["module"]]
    named = {name.split(".")[1] for name in read if name.endswith(".*")}
    files = [path for folder in ("infra", "ops", "tests") for path in (ROOT / folder).rglob("*.py")]
    used = set().union(*map(services, files))
    assert len(used) > 10
    assert used - {"get_availability_zones", "get_caller_identity"} == named


def test_a_service_is_seen_however_it_is_reached(tmp_path: Path) -> None:
    path = tmp_path / "sample.py"
    path.write_text(
        "import pulumi_aws as aws\nfrom pulumi_aws import ec2\nfrom pulumi_aws.vpc import Rule\nimport pulumi_aws.sns\n"
        "aws.eks.Cluster, aws.Provider\n"
    )
    assert services(path) == {"ec2", "vpc", "sns", "eks"}
