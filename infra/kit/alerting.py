"""Alertmanager's configuration as plain data: who hears of what, when, and what keeps quiet meanwhile."""

from __future__ import annotations

from typing import Any, Final

from infra.config import CHANNELS, RECEIVER_SECRETS, AlertmanagerSettings
from infra.edges import SMTP

SECRETS: Final = "/run/secrets/churn/alert-receivers"
NOBODY: Final = "nobody"
"""The receiver that drops: where no channel is on, and of the Watchdog where nothing outside expects it."""
DEADMAN: Final = "deadman"
"""The receiver of the Watchdog: a service outside that calls people when it is not called itself."""
WATCHDOG: Final = "Watchdog"

MEANT: Final = {"critical": ("pagerduty", "slack", "email"), "warning": ("slack", "email"), "info": ("slack",)}
"""Channels of each severity; where none of these is on, the ones that are."""
TIMES: Final = {
    "critical": {"group_wait": "10s", "group_interval": "1m", "repeat_interval": "15m"},
    "warning": {"group_wait": "30s", "group_interval": "5m", "repeat_interval": "1h"},
    "info": {"group_wait": "5m", "group_interval": "1h", "repeat_interval": "24h"},
}
"""Told again after the time within which somebody has to respond: 15 minutes, an hour; for information once a day."""
PULSE: Final = {"group_wait": "0s", "group_interval": "1m", "repeat_interval": "1m"}
"""How often the dead man's service is called."""
GROUP_BY: Final = ("alertname", "workload", "stack")

_TITLE: Final = (
    "[{{ .Status | toUpper }}{{ if gt (len .Alerts) 1 }} x{{ len .Alerts }}{{ end }}] "
    "{{ .CommonLabels.severity }}: {{ .CommonLabels.alertname }} ({{ .CommonLabels.stack }})"
)


def _text(docs: str, grafana: str) -> str:
    """What happened, since when, where its runbook and its dashboard are; for each alert of a group.

    Of each alert, those two are what its rule says: a path in the repository and the uid of a dashboard.
    """
    base = f"{docs.rstrip('/')}/" if docs else ""
    return (
        "{{ range .Alerts }}{{ .Annotations.summary }}\n{{ .Annotations.description }}\n"
        'Since {{ .StartsAt.UTC.Format "2006-01-02 15:04:05" }} UTC'
        '{{ if eq .Status "resolved" }}, over at {{ .EndsAt.UTC.Format "2006-01-02 15:04:05" }} UTC{{ end }}.\n'
        f"Runbook: {base}{{{{ .Annotations.runbook_url }}}}\n"
        f"Dashboard: {grafana}/d/{{{{ .Annotations.dashboard }}}}\n{{{{ end }}}}"
    )


def channels(settings: AlertmanagerSettings) -> list[str]:
    """Channels that are on."""
    return [channel for channel in CHANNELS if getattr(settings, channel)]


def secret_files(settings: AlertmanagerSettings) -> tuple[str, ...]:
    """Files of the receivers' secret that these settings need."""
    return tuple(file for channel, file in RECEIVER_SECRETS.items() if getattr(settings, channel))


def _entry(channel: str, severity: str, settings: AlertmanagerSettings, text: str) -> dict[str, Any]:
    file = f"{SECRETS}/{CHANNELS[channel]}"
    match channel:
        case "slack":
            return {
                "channel": settings.slack_channel,
                "api_url_file": file,
                "send_resolved": True,
                "title": _TITLE,
                "text": text,
            }
        case "email":
            return {
                "to": settings.email_to,
                "send_resolved": True,
                "headers": {"Subject": _TITLE},
                "html": "",
                "text": text,
            }
        case _:
            return {
                "routing_key_file": file,
                "send_resolved": True,
                "severity": severity,
                "description": _TITLE,
                "details": {"alerts": text},
            }


def _receiver(severity: str, settings: AlertmanagerSettings, text: str) -> dict[str, Any]:
    on = channels(settings)
    chosen = [channel for channel in MEANT[severity] if channel in on] or on
    entries = {f"{channel}_configs": [_entry(channel, severity, settings, text)] for channel in chosen}
    return {"name": severity, **entries}


def _deadman() -> dict[str, Any]:
    hook = {"url_file": f"{SECRETS}/{RECEIVER_SECRETS['deadman']}", "send_resolved": False}
    return {"name": DEADMAN, "webhook_configs": [hook]}


def _smtp(settings: AlertmanagerSettings) -> dict[str, Any]:
    return {
        "smtp_smarthost": f"{settings.smtp_host}:{SMTP}",
        "smtp_from": settings.email_from,
        "smtp_auth_username": settings.smtp_user,
        "smtp_auth_password_file": f"{SECRETS}/{CHANNELS['email']}",
        "smtp_require_tls": True,
    }


def inhibitions() -> list[dict[str, Any]]:
    """What an alert keeps quiet: lesser ones of its workload, and the pods of a node that is down.

    They tell of the same trouble. An alert of a pod has the label ``scope="pod"`` and its node.
    """
    return [
        {
            "source_matchers": ['severity="critical"'],
            "target_matchers": ['severity=~"warning|info"'],
            "equal": ["workload", "stack"],
        },
        {
            "source_matchers": ['alertname="NodeDown"'],
            "target_matchers": ['scope="pod"'],
            "equal": ["node", "stack"],
        },
    ]


def config(settings: AlertmanagerSettings, grafana: str) -> dict[str, Any]:
    """The whole `alertmanager.yml`; it names the files of secrets and holds none.

    An alert of an unknown severity is treated as critical: better one page too many.

    Args:
        settings: of the stack.
        grafana: where people open Grafana, for the link to an alert's dashboard.
    """
    on = channels(settings)
    text = _text(settings.docs_url, grafana)
    severities = list(MEANT) if on else []
    watchdog = {"receiver": DEADMAN, **PULSE} if settings.deadman else {"receiver": NOBODY}
    routes = [{"matchers": [f'alertname="{WATCHDOG}"'], **watchdog}]
    routes += [{"matchers": [f'severity="{s}"'], "receiver": s, **TIMES[s]} for s in severities]
    return {
        "global": {"resolve_timeout": "5m", **(_smtp(settings) if settings.email else {})},
        "route": {
            "receiver": "critical" if on else NOBODY,
            "group_by": list(GROUP_BY),
            **TIMES["critical"],
            "routes": routes,
        },
        "inhibit_rules": inhibitions(),
        "receivers": [
            {"name": NOBODY},
            *([_deadman()] if settings.deadman else []),
            *(_receiver(severity, settings, text) for severity in severities),
        ],
    }
