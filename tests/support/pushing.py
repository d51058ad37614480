"""A pushgateway's stand-in."""

from __future__ import annotations

import re
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from support.listening import Listening, QuietHandler, http

GROUP = re.compile(r"/metrics/job(@base64)?/[^/]+(/[^/]+/[^/]+)*")
"""A path for pushes: the job, and then names and values of further labels."""


@dataclass(frozen=True)
class Push:
    """What one job pushed: the group in the path, and the text."""

    path: str
    body: str

    @property
    def samples(self) -> dict[tuple[str, tuple[str, ...]], float]:
        """Value by metric and the values of its labels."""
        return {(s.name, tuple(s.labels.values())): s.value for s in self._parsed()}

    def is_readable(self) -> bool:
        """Whether the body is complete and has each series once; anything else is refused by the original.

        Its parser wants a final line feed (prometheus/common `expfmt/text_parse.go`), and its check of what was pushed
        finds doubles (prometheus/pushgateway `storage/diskmetricstore.go`).
        """
        try:
            series = [(s.name, *sorted(s.labels.items())) for s in self._parsed()]
        except ValueError:
            return False
        return bool(series) and self.body.endswith("\n") and len(set(series)) == len(series)

    def _parsed(self) -> list[Sample]:
        return [sample for family in text_string_to_metric_families(self.body) for sample in family.samples]


class Pushgateway(Listening):
    """Stands in for the pushgateway: keeps every push, and as the original refuses a body that it cannot read.

    ``statuses`` are those of the next answers, 0 for a broken one; after that each is 200.
    """

    def __init__(self) -> None:
        self.pushes: list[Push] = []
        self.statuses: list[int] = []
        gateway = self

        class Handler(QuietHandler):
            def do_POST(self) -> None:
                push = Push(self.path, self.body().decode())
                if not GROUP.fullmatch(self.path):
                    self.reply(404)
                    return
                status = gateway.statuses.pop(0) if gateway.statuses else 200
                if status == 0:
                    self.wfile.write(b"nonsense\r\n\r\n")
                    return
                readable = push.is_readable()
                if status == 200 and readable:
                    gateway.pushes.append(push)
                self.reply(status if readable else 400)

        super().__init__(http(Handler))
