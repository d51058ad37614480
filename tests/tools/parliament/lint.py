"""What parliament finds in the policy documents of a file, as JSON; run in the environment of `requirements.lock`.

The file has documents by name. parliament's own command is of no use: it leaves a copy of what it reads in a file at a
fixed place that all users of a machine share.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

warnings.filterwarnings("ignore", message="pkg_resources is deprecated")  # said at the import that follows
import parliament  # type: ignore[import-not-found]  # noqa: E402  # not in the project's environment


def main(path: str) -> None:
    """Print a list of name, rule and text."""
    findings: list[dict[str, str]] = []
    for name, document in json.loads(Path(path).read_text(encoding="utf-8")).items():
        policy = parliament.analyze_policy_string(json.dumps(document), config=parliament.config)
        findings.extend(
            {"name": name, "rule": finding.issue, "text": f"{finding.title}: {finding.detail}"}
            for finding in map(parliament.enhance_finding, policy.findings)
        )
    json.dump(findings, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
