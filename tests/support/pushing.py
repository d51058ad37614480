"""A pushgateway's stand-in."""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families
from support.listening import Listening, QuietHandler, http


@dataclass(frozen=True)
class Push:
    """What one job pushed: the group in the path, and the text."""

    path: str
    body: str

    @property
    def samples(self) -> dict[tuple[str, tuple[str, ...]], float]:
        """Value by metric and the values of its labels."""
        families = text_string_to_metric_families(self.body)
        return {(s.name, tuple(s.labels.values())): s.value for family in families for s in family.samples}


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
                status = gateway.statuses.pop(0) if gateway.statuses else 200
                if status == 0:
                    self.wfile.write(b"nonsense\r\n\r\n")
                    return
                try:
                    readable = bool(push.samples)
                except ValueError:
                    readable = False
                if status == 200 and readable:
                    gateway.pushes.append(push)
                self.reply(status if readable else 400)

        super().__init__(http(Handler))
