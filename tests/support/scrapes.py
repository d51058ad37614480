"""Series of the cluster's programs with their labels, as a Prometheus of the `dev` stack had them on a live cluster.

`scrapes.json` has, by scrape job, the version of the program that ran and each series' labels: no values. To record
anew, give this program the answer of Prometheus' `/api/v1/series` and the versions that ran:

    python -m support.scrapes series.json kube-state-metrics=2.15.0 node-exporter=1.10.2
"""

from __future__ import annotations

import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

FILE: Final = Path(__file__).with_suffix(".json")
KEPT: Final = {
    "alertmanager": "alertmanager_(config|notification|cluster|alerts)",
    "cadvisor": "container_|machine_",
    "kube-state-metrics": "kube_",
    "kubelet": "kubelet_volume_stats_",
    "node-exporter": "node_(cpu|disk|filesystem|load|memory|network|time|vmstat)",
    "probe": "probe_",
    "prometheus": "prometheus_(config|engine|notifications|rule|target|tsdb)",
    "pushgateway": "pushgateway_|push_",
    "training": "churn_training_",
}
"""Which series of a job are worth keeping: not those of Go's runtime and of each program's own HTTP server."""
EVERYWHERE: Final = frozenset({"ALERTS", "up", "process_cpu_seconds_total"})


def recorded(series: Iterable[Mapping[str, str]], versions: Mapping[str, str]) -> dict[str, Any]:
    """The content of `scrapes.json` from label sets of series."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for labels in series:
        name, job = labels["__name__"], labels.get("job", "")
        if name in EVERYWHERE:
            found["*"][name] |= labels.keys() - {"__name__"}
        elif job in KEPT and re.match(KEPT[job], name):
            found[job][name] |= labels.keys() - {"__name__"}
    return {
        job: {
            "version": versions.get(job, ""),
            "series": {name: " ".join(sorted(labels)) for name, labels in sorted(names.items())},
        }
        for job, names in sorted(found.items())
    }


def labels() -> dict[str, set[str]]:
    """Labels of each recorded series, whatever job it is of."""
    found: dict[str, set[str]] = defaultdict(set)
    for job in json.loads(FILE.read_text(encoding="utf-8")).values():
        for name, named in job["series"].items():
            found[name] |= set(named.split())
    return found


def main(source: str, *versions: str) -> None:
    """Write `scrapes.json` anew."""
    series = json.loads(Path(source).read_text(encoding="utf-8"))["data"]
    content = recorded(series, dict(version.split("=", 1) for version in versions))
    FILE.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
