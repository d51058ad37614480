"""Alertmanager's configuration as plain data: who hears of which alert, when, and which alerts silence others."""

from __future__ import annotations

from typing import Any, Final

from infra.config_alerts import CHANNELS, RECEIVER_SECRETS, AlertmanagerSettings
from infra.edges import SMTP
from infra.secret_files import ALERT_RECEIVERS

SECRETS: Final = ALERT_RECEIVERS.path
NOBODY: Final = "nobody"
"""The receiver that drops alerts: all of them where no channel is on, the Watchdog where no service expects it."""
DEADMAN: Final = "deadman"
"""The receiver of the Watchdog: an outside service that calls people once the Watchdog stops arriving."""
WATCHDOG: Final = "Watchdog"

CHANNELS_OF: Final = {"critical": ("pagerduty", "slack", "email"), "warning": ("slack", "email"), "info": ("slack",)}
"""Channels of each severity; where none of these is on, every channel that is."""
TIMES: Final = {
    "critical": {"group_wait": "10s", "group_interval": "1m", "repeat_interval": "15m"},
    "warning": {"group_wait": "30s", "group_interval": "5m", "repeat_interval": "1h"},
    "info": {"group_wait": "5m", "group_interval": "1h", "repeat_interval": "24h"},
}
"""An alert is repeated after the time within which somebody has to respond, 15 minutes or an hour; information
daily."""
PULSE: Final = {"group_wait": "0s", "group_interval": "1m", "repeat_interval": "1m"}
"""How often the Watchdog is sent to the outside service."""
GROUP_BY: Final = ("alertname", "workload", "stack")
CAUSES: Final = {"PostgresRefuses": ("PostgresDown",), "EdgeProbeFailing": ("ApiDown", "IngressDown")}
"""Critical alerts that only report the effect of others, of other workloads: people are paged once, for the cause.

A cause fires before its effect and goes on for as long as the effect needs to be over (`keep_firing_for` in its rule).
"""

_TITLE: Final = (
    "[{{ .Status | toUpper }}{{ if gt (len .Alerts) 1 }} x{{ len .Alerts }}{{ end }}] "
    "{{ .CommonLabels.severity }}: {{ .CommonLabels.alertname }} ({{ .CommonLabels.stack }})"
)


def _text(docs: str, grafana: str) -> str:
    """Return the template of a message: for each alert what happened, since when, its runbook and its dashboard.

    The alert's rule gives the last two as a path in the repository and the uid of a dashboard.
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
    """Return the channels that are on."""
    return [channel for channel in CHANNELS if getattr(settings, channel)]


def secret_files(settings: AlertmanagerSettings) -> tuple[str, ...]:
    """Return the files of the receivers' secret that these settings need."""
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
    chosen = [channel for channel in CHANNELS_OF[severity] if channel in on] or on
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


def _inhibition(sources: list[str], target: str, *equal: str) -> dict[str, Any]:
    """Return a rule by which alerts inhibit others; none of them ever inhibits the Watchdog.

    The dead man's service calls people when the Watchdog stops: inhibiting it would report that monitoring is dead.
    """
    return {
        "source_matchers": sources,
        "target_matchers": [target, f'alertname!="{WATCHDOG}"'],
        "equal": [*equal, "stack"],
    }


def inhibitions() -> list[dict[str, Any]]:
    """Return which alerts inhibit others: a critical one those of its workload, a dead node those of its pods.

    They have the same cause. A critical alert about one model has the label ``model`` and inhibits those of that model
    alone: the others of the API go on and may have troubles of their own. An alert about a pod has the label
    ``scope="pod"`` and the pod's node. The causes that belong to other workloads are in `CAUSES`.
    """
    lesser = 'severity=~"warning|info"'
    return [
        _inhibition(['severity="critical"', 'model=""'], lesser, "workload"),
        _inhibition(['severity="critical"', 'model!=""'], lesser, "workload", "model"),
        _inhibition(['alertname="NodeDown"'], 'scope="pod"', "node"),
        *(
            _inhibition([f'alertname=~"{"|".join(causes)}"'], f'alertname="{effect}"')
            for effect, causes in CAUSES.items()
        ),
    ]


def config(settings: AlertmanagerSettings, grafana: str) -> dict[str, Any]:
    """Return the whole `alertmanager.yml`; it names the files of secrets and contains no secret.

    An alert of an unknown severity is treated as critical: better one page too many.

    Args:
        settings: the stack's receivers.
        grafana: address of Grafana, for the link to an alert's dashboard.
    """
    on = channels(settings)
    text = _text(settings.docs_url, grafana)
    severities = list(CHANNELS_OF) if on else []
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
