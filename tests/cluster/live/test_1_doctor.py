"""`churn doctor` judges the cluster on which the platform runs: nothing that would have stopped `up`."""

from __future__ import annotations

import pytest
from support.live import Live

from ops.stack import doctor
from ops.stack.checkout import ROOT
from ops.stack.doctor_checks import Level

pytestmark = [pytest.mark.live, pytest.mark.timeout(1800)]


def test_a_cluster_on_which_the_stack_came_up_has_no_error(live: Live) -> None:
    findings = {finding.check: finding for finding in doctor.diagnose("", "dev", ROOT)}
    errors = [doctor.line(finding) for finding in findings.values() if finding.level == Level.ERROR]
    assert errors == []
    # This cluster has metrics, and a default class whose volumes do not grow.
    assert findings["metrics"].level == Level.OK
    assert "cannot grow later" in findings["storage"].text
    assert "pulumi up -s dev" in live.typed
    live.figures["churn doctor"] = {name: str(finding.level) for name, finding in findings.items()}
