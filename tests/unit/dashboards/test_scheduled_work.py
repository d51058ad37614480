"""The table of scheduled work, evaluated by promtool: it has every schedule, also one that never succeeded."""

from __future__ import annotations

from pathlib import Path

import yaml
from support.programs import program, run

from dashboards.panels import Table
from dashboards.parts import operations

SERIES = {
    'kube_cronjob_created{namespace="churn-mlops", cronjob="backup"}': "0x10",
    'kube_cronjob_status_last_successful_time{namespace="churn-mlops", cronjob="backup"}': "300x10",
    'kube_cronjob_created{namespace="churn-mlops", cronjob="drill"}': "60x10",
}
EXPECTED = [
    ('{cronjob="backup", since="its last success"}', 600 - 300),
    ('{cronjob="drill", since="it was created: it never succeeded"}', 600 - 60),
]


def test_a_schedule_that_never_succeeded_is_in_the_table(tmp_path: Path) -> None:
    (table,) = (panel for panel in operations.scheduled_work().panels if isinstance(panel, Table))
    (query,) = table.queries
    samples = [{"labels": labels, "value": value} for labels, value in EXPECTED]
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in SERIES.items()],
        "promql_expr_test": [{"expr": query.expr, "eval_time": "10m", "exp_samples": samples}],
    }
    path = tmp_path / "table.yaml"
    path.write_text(yaml.safe_dump({"rule_files": [], "evaluation_interval": "1m", "tests": [test]}), encoding="utf-8")
    run(program("promtool", "prometheus"), "test", "rules", str(path))
