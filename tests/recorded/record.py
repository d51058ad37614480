"""Writes `series.json`: which metrics a live cluster's Prometheus had, with which labels, of those that we ask for.

    curl -sg 'localhost:9090/api/v1/series?match[]={__name__!=""}' > SERIES.json   # through a port-forward
    python tests/recorded/record.py SERIES.json

The answer has labels as rules see them: what an exporter gives, after the relabelling of our scrape. Names of labels
are kept and no values, so nothing of that cluster is in the file but the versions of its programs. Record anew when a
rule or a panel asks for another metric of an exporter, or after an exporter's new version.

One exporter that a recorded cluster did not have yet is added from its own page, without a cluster:

    curl -s localhost:9187/metrics > PAGE
    python tests/recorded/record.py --of postgres-exporter PAGE

Its labels are then those of the page and those that our scrape gives to its pods. `from_a_page` names such exporters
until all is recorded anew. The page of `postgres-exporter` was Debian's 0.11.1, with the arguments of its pod, on a
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

NOT_TAKEN: Final = {
    API: "asked of the API itself in each test",
    "ingress": "a stand-in of the controller",
    "grafana": "a stand-in",
}
"""Jobs of the live cluster whose own metrics prove nothing; `up`, which Prometheus makes, is taken."""
_BUILD: Final = re.compile(r"\w+_build_info")


def recording(series: Iterable[Mapping[str, str]], wanted: set[str]) -> dict[str, Any]:
    """The versions of programs by job, and the union of label names by job and metric, of ``wanted`` metrics."""
    versions: dict[str, str] = {}
    found: dict[str, dict[str, set[str]]] = {}
    for labels in series:
        job, metric = labels.get("job", ""), labels["__name__"]
        if job in NOT_TAKEN and metric != "up":
            continue
        if _BUILD.fullmatch(metric):
            versions[job] = labels["version"]
        if metric in wanted:
            found.setdefault(job, {}).setdefault(metric, set()).update(labels.keys() - {"__name__"})
    return {
        "versions": dict(sorted(versions.items())),
        "series": {
            job: {metric: sorted(labels) for metric, labels in sorted(of_job.items())}
            for job, of_job in sorted(found.items())
        },
    }


def wanted_metrics() -> set[str]:
    """What rules and panels ask for, but for what rules themselves record."""
    asked = {metric for use in uses.every() for metric in metrics(use.expression)}
    return asked - {rule.get("record") for rule in uses.rules()}


def exposition(job: str, page: str, wanted: set[str]) -> dict[str, Any]:
    """The recording of one exporter: its page, as Prometheus would have scraped it by that job."""
    (target,) = (target for target in TARGETS if target.job == job)
    given = scrape.pod_job(target)["relabel_configs"]
    own = {"job": job, "instance": ""} | {rule["target_label"]: "" for rule in given if "target_label" in rule}
    kept = [sample for sample in on_page(page) if re.fullmatch(target.keep or ".*", sample.name)]
    series = [{"__name__": sample.name, **sample.labels, **own} for sample in kept]
    return recording([{"__name__": "up", **own}, *series], wanted)


def with_exporter(before: Mapping[str, Any], job: str, page: str) -> dict[str, Any]:
    """The file with one exporter more, or anew."""
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
    """Write the file from what is named on the command line."""
    match sys.argv[1:]:
        case ["--of", job, page]:
            before = json.loads(RECORDING.read_text(encoding="utf-8"))
            made = with_exporter(before, job, Path(page).read_text(encoding="utf-8"))
        case [answer]:
            made = _recorded(Path(answer))
        case _:
            sys.exit(__doc__)
    RECORDING.write_text(_as_text(made), encoding="utf-8")
    print(f"wrote {RECORDING.name}: {len(made['series'])} jobs")  # noqa: T201 - a program's output


def _as_text(made: dict[str, Any]) -> str:
    """A line for each metric, so that a change of it is one line."""
    text = json.dumps(made, indent=1)
    lists = re.compile(r"\[[^\]]*\]")
    return lists.sub(lambda match: " ".join(match.group().split()), text) + "\n"


if __name__ == "__main__":
    main()
