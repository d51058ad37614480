"""Alertmanager's configuration as plain data: who hears of what, when, and what keeps quiet meanwhile."""

from __future__ import annotations

from typing import Any, Final

from infra.config import CHANNELS, AlertmanagerSettings
from infra.edges import SMTP

SECRETS: Final = "/run/secrets/churn/alert-receivers"
NOBODY: Final = "nobody"
"""The receiver that drops: of the Watchdog, and of everything where no channel is on."""
WATCHDOG: Final = "Watchdog"

MEANT: Final = {"critical": ("pagerduty", "slack", "email"), "warning": ("slack", "email"), "info": ("slack",)}
"""Channels of each severity; where none of these is on, the ones that are."""
TIMES: Final = {
    "critical": {"group_wait": "10s", "repeat_interval": "1h"},
    "warning": {"group_wait": "30s", "repeat_interval": "4h"},
    "info": {"group_wait": "5m", "repeat_interval": "24h"},
}

_TITLE: Final = (
    "[{{ .Status | toUpper }}] {{ .CommonLabels.severity }}: {{ .CommonLabels.alertname }} ({{ .CommonLabels.stack }})"
)
_TEXT: Final = (
    "{{ range .Alerts }}{{ .Annotations.summary }}\n{{ .Annotations.description }}\n"
    'Since {{ .StartsAt.UTC.Format "2006-01-02 15:04:05" }} UTC. Runbook: {{ .Annotations.runbook_url }}\n{{ end }}'
)


def channels(settings: AlertmanagerSettings) -> list[str]:
    """Channels that are on."""
    return [channel for channel in CHANNELS if getattr(settings, channel)]


def secret_files(settings: AlertmanagerSettings) -> tuple[str, ...]:
    """Files of the receivers' secret that these settings need."""
    return tuple(CHANNELS[channel] for channel in channels(settings))


def _entry(channel: str, severity: str, settings: AlertmanagerSettings) -> dict[str, Any]:
    file = f"{SECRETS}/{CHANNELS[channel]}"
    match channel:
        case "slack":
            return {
                "channel": settings.slack_channel,
                "api_url_file": file,
                "send_resolved": True,
                "title": _TITLE,
                "text": _TEXT,
            }
        case "email":
            return {
                "to": settings.email_to,
                "send_resolved": True,
                "headers": {"Subject": _TITLE},
                "html": "",
                "text": _TEXT,
            }
        case _:
            return {
                "routing_key_file": file,
                "send_resolved": True,
                "severity": severity,
                "description": _TITLE,
                "details": {"alerts": _TEXT},
            }


def _receiver(severity: str, settings: AlertmanagerSettings) -> dict[str, Any]:
    on = channels(settings)
    chosen = [channel for channel in MEANT[severity] if channel in on] or on
    entries = {f"{channel}_configs": [_entry(channel, severity, settings)] for channel in chosen}
    return {"name": severity, **entries}


def _smtp(settings: AlertmanagerSettings) -> dict[str, Any]:
    return {
        "smtp_smarthost": f"{settings.smtp_host}:{SMTP}",
        "smtp_from": settings.email_from,
        "smtp_auth_username": settings.smtp_user,
        "smtp_auth_password_file": f"{SECRETS}/{CHANNELS['email']}",
        "smtp_require_tls": True,
    }


def config(settings: AlertmanagerSettings) -> dict[str, Any]:
    """The whole `alertmanager.yml`; it names the files of secrets and holds none.

    An alert of an unknown severity is treated as critical: better one page too many. A critical alert keeps the lesser
    ones of the same workload quiet, since they tell of the same trouble.
    """
    on = channels(settings)
    severities = list(MEANT) if on else []
    routes = [{"matchers": [f'alertname="{WATCHDOG}"'], "receiver": NOBODY}]
    routes += [{"matchers": [f'severity="{s}"'], "receiver": s, **TIMES[s]} for s in severities]
    return {
        "global": {"resolve_timeout": "5m", **(_smtp(settings) if settings.email else {})},
        "route": {
            "receiver": "critical" if on else NOBODY,
            "group_by": ["alertname", "workload", "stack"],
            "group_interval": "5m",
            **TIMES["critical"],
            "routes": routes,
        },
        "inhibit_rules": [
            {
                "source_matchers": ['severity="critical"'],
                "target_matchers": ['severity=~"warning|info"'],
                "equal": ["workload", "stack"],
            }
        ],
        "receivers": [{"name": NOBODY}, *(_receiver(severity, settings) for severity in severities)],
    }
