"""No secret value is readable in anything that the engine stores or prints."""

from __future__ import annotations

import base64
import json

import pytest
from support.engine.project import Deployed

pytestmark = [pytest.mark.service, pytest.mark.timeout(300, func_only=True)]


def spellings(secret: str) -> set[str]:
    """The forms of a value in files: plain, escaped for JSON, and encoded as in Kubernetes."""
    return {secret, json.dumps(secret)[1:-1], base64.b64encode(secret.encode()).decode()}


def test_made_and_given_secrets_are_ciphertext_in_the_state_and_absent_from_the_output(deployed: Deployed) -> None:
    project = deployed.project
    canaries = {*deployed.webhooks, *project.random.secrets, *project.tls.secrets}
    contents = {
        base64.b64decode(value).decode()
        for key, manifest in project.cluster.objects.items()
        if key.kind == "Secret"
        for value in manifest["data"].values()
    }
    # A file in the cluster that contains a canary is secret as a whole. That some do shows that the canaries are right.
    files = {content for content in contents if any(canary in content for canary in canaries)}
    assert len(files) > len(project.random.secrets) / 2
    assert deployed.webhooks[-1] in files

    exported = project.cli("stack", "export")
    places = {
        "export": exported,
        "printed": project.printed,
        "settings": project.settings.read_text(),
        **{str(path): path.read_text() for path in project.state_files},
    }
    assert len(places) > 4
    readable = {
        (place, secret[:3])
        for place, text in places.items()
        for secret in canaries | files
        if any(spelling in text for spelling in spellings(secret))
    }
    assert not readable
    assert exported.count('"ciphertext"') >= len(canaries)
