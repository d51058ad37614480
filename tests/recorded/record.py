"""Writes `series.json`: of the metrics that we ask for, those that a live cluster's Prometheus had, and their labels.

    curl -sg 'localhost:9090/api/v1/series?match[]={__name__!=""}' > SERIES.json   # through a port-forward
    python tests/recorded/record.py SERIES.json

The answer has labels as rules see them: an exporter's own, after the relabelling of our scrape. Names of labels are
recorded and no values, so nothing of that cluster is in the file but the versions of its programs. Record again when a
rule or a panel asks for another metric of an exporter, or when an exporter has a new version.

An exporter that the recorded cluster did not have is added from its own page, without a cluster:

    curl -s localhost:9187/metrics > PAGE
    python tests/recorded/record.py --of postgres-exporter PAGE

Its labels are then those of the page and those that our scrape adds. `from_a_page` names such exporters until
everything is recorded again. The page of `postgres-exporter` was Debian's 0.11.1, with the arguments of its pod, on a
PostgreSQL 15 with the pod's settings and logins (`tests/support/postgres_exporter.py`).
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[1]))  # for the run as a program

from support import uses
from support.exposed import API, RECORDING, on_page
from support.promql import metrics

from infra.kit import scrape
from infra.workloads.prometheus import TARGETS

SKIPPED: Final = {
    API: "each test asks the API itself",
    "ingress": "a stand-in of the controller",
    "grafana": "a stand-in",
}
"""Jobs of the live cluster whose own metrics prove nothing; only `up` of them is recorded, which Prometheus makes."""
_BUILD: Final = re.compile(r"\w+_build_info")


def recording(series: Iterable[Mapping[str, str]], names: set[str]) -> dict[str, Any]:
    """The versions of programs by job, and the union of label names by job and metric, of the metrics ``names``."""
    versions: dict[str, str] = {}
    by_job: dict[str, dict[str, set[str]]] = {}
    for labels in series:
        job, metric = labels.get("job", ""), labels["__name__"]
        if job in SKIPPED and metric != "up":
            continue
        if _BUILD.fullmatch(metric):
            versions[job] = labels["version"]
        if metric in names:
            by_job.setdefault(job, {}).setdefault(metric, set()).update(labels.keys() - {"__name__"})
    return {
        "versions": dict(sorted(versions.items())),
        "series": {
            job: {metric: sorted(labels) for metric, labels in sorted(of_job.items())}
            for job, of_job in sorted(by_job.items())
        },
    }


def wanted_metrics() -> set[str]:
    """The metrics that rules and panels ask for, without those that rules record."""
    asked = {metric for use in uses.every() for metric in metrics(use.expression)}
    return asked - {rule.get("record") for rule in uses.rules()}


def exposition(job: str, page: str, names: set[str]) -> dict[str, Any]:
    """The recording of one exporter: its page, as Prometheus scrapes it under that job."""
    (target,) = (target for target in TARGETS if target.job == job)
    relabelling = scrape.pod_job(target)["relabel_configs"]
    own = {"job": job, "instance": ""} | {rule["target_label"]: "" for rule in relabelling if "target_label" in rule}
    samples = [sample for sample in on_page(page) if re.fullmatch(target.keep or ".*", sample.name)]
    series = [{"__name__": sample.name, **sample.labels, **own} for sample in samples]
    return recording([{"__name__": "up", **own}, *series], names)


def with_exporter(before: Mapping[str, Any], job: str, page: str) -> dict[str, Any]:
    """The file's content with one exporter added or replaced."""
    added = exposition(job, page, wanted_metrics())
    return {
        "from_a_page": sorted({*before.get("from_a_page", ()), job}),
        **{part: dict(sorted({**before[part], **added[part]}.items())) for part in ("versions", "series")},
    }


def _recorded(path: Path) -> dict[str, Any]:
    answer = json.loads(path.read_text(encoding="utf-8"))
    if answer["status"] != "success":
        sys.exit(f"Prometheus answered with {answer['status']}: {answer.get('error')}")
    return recording(answer["data"], wanted_metrics())


def main() -> None:
    """Write the file from the input that the command line names."""
    match sys.argv[1:]:
        case ["--of", job, page]:
            before = json.loads(RECORDING.read_text(encoding="utf-8"))
            content = with_exporter(before, job, Path(page).read_text(encoding="utf-8"))
        case [answer]:
            content = _recorded(Path(answer))
        case _:
            sys.exit(__doc__)
    RECORDING.write_text(_as_text(content), encoding="utf-8")
    print(f"wrote {RECORDING.name}: {len(content['series'])} jobs")  # noqa: T201 - a program's output


def _as_text(content: dict[str, Any]) -> str:
    """The content as JSON with one line for each metric, so that its change is one line."""
    text = json.dumps(content, indent=1)
    lists = re.compile(r"\[[^\]]*\]")
    return lists.sub(lambda match: " ".join(match.group().split()), text) + "\n"


if __name__ == "__main__":
    main()
