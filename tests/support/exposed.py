"""Which series there are, and which labels they have: of the API from its own exposition, of the cluster's programs
from a recorded scrape, of recording rules from the rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from prometheus_client import CollectorRegistry
from support import scrapes
from support.api import make_api
from support.bundles import make_bundle
from support.promql import metrics

from infra import prices
from infra.workloads.prometheus import RULES
from ops.backup_metrics import HELP as BACKUPS

POD: Final = frozenset({"job", "instance", "namespace", "pod", "node"})
"""What a scrape of a pod adds."""
CRONJOB: Final = frozenset({"job", "instance", "namespace", "cronjob"})
NOT_RECORDED: Final[Mapping[str, frozenset[str]]] = {
    # kube-state-metrics documents them; no CronJob had run yet when the scrape was recorded.
    "kube_cronjob_status_last_schedule_time": CRONJOB,
    "kube_cronjob_status_last_successful_time": CRONJOB,
    # Ours, through the Pushgateway; no backup and no drill had run yet.
    **dict.fromkeys(BACKUPS, frozenset({"job", "instance", "kind"})),
}
"""Series without a recording, with their labels; the reason stands beside each."""

_SUFFIXES: Final = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}


def known(folder: Path) -> dict[str, frozenset[str]]:
    """Labels of every series that rules and panels may name; an API is made in ``folder`` to ask it."""
    there: dict[str, frozenset[str]] = {name: frozenset(labels) for name, labels in scrapes.labels().items()}
    there |= NOT_RECORDED
    for name, labels in api_series(folder).items():
        there[name] = there.get(name, frozenset()) | labels
    return there | _made_by_rules(there)


def api_series(folder: Path) -> dict[str, frozenset[str]]:
    """What an API with a model exposes, or will once there is something to count; it is made in ``folder``."""
    bundle = folder / "bundle"
    bundle.mkdir()
    make_bundle(bundle)
    metrics_of_api = make_api(bundle, folder).service.metrics
    declared = _declared(vars(metrics_of_api).values())
    return {
        family.name + suffix: labels
        | declared.get(family.name, frozenset())
        | POD
        | ({"le"} if suffix == "_bucket" else set())
        for family, labels in _families(metrics_of_api.registry)
        for suffix in _SUFFIXES.get(family.type, ("",))
    }


def _families(registry: CollectorRegistry) -> Iterable[tuple[Any, frozenset[str]]]:
    for family in registry.collect():
        yield family, frozenset(label for sample in family.samples for label in sample.labels)


def _declared(values: Iterable[object]) -> dict[str, frozenset[str]]:
    """Labels of counters that have not counted: the library shows them only here."""
    return {
        value._name: frozenset(value._labelnames)
        for value in values
        if hasattr(value, "_labelnames") and hasattr(value, "_name")
    }


def _made_by_rules(there: Mapping[str, frozenset[str]]) -> dict[str, frozenset[str]]:
    """Recorded series with every label that they may have; rules may build on each other."""
    texts = [*(path.read_text(encoding="utf-8") for path in sorted(RULES.glob("*.yaml"))), prices.rules()]
    groups = [group for text in texts for group in yaml.safe_load(text)["groups"]]
    records = [rule for group in groups for rule in group["rules"] if "record" in rule]
    made: dict[str, frozenset[str]] = {rule["record"]: frozenset() for rule in records}
    for _ in records:
        before = dict(made)
        for rule in records:
            of = (made.get(name, there.get(name, frozenset())) for name in metrics(rule["expr"]))
            made[rule["record"]] |= frozenset(rule.get("labels", {})).union(*of)
        if made == before:
            break
    return made
