"""A host outside of the cluster, in its own network namespace, which answers at addresses of the internet."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence

from support.servers import require_tool, wait_until
from support.tools import missing

NAMESPACE = "churn-outside"
LINK = "churnout0"
NEAR = "203.0.113.1"
INTERNET = "203.0.113.10"
"""From a range reserved for documentation: nobody has it."""
METADATA = "169.254.169.254"
"""The address at which clouds give a machine its credentials."""
PORTS = (80, 443, 587)

_LISTEN = """
import json, selectors, socket, sys
selector = selectors.DefaultSelector()
for port in json.loads(sys.argv[1]):
    selector.register(socket.create_server(("0.0.0.0", port), backlog=256), selectors.EVENT_READ)
print("listening", flush=True)
while True:
    for key, _ in selector.select():
        key.fileobj.accept()[0].close()
"""


@contextlib.contextmanager
def outside() -> Iterator[Sequence[str]]:
    """Run the host for the time of the block, and give its addresses. Pods reach it by the node's own route."""
    if os.geteuid() != 0:
        missing("a network namespace needs root")
    ip = require_tool("ip")

    def run(*words: str, check: bool = True) -> None:
        subprocess.run([ip, *words], check=check, capture_output=True)

    run("netns", "delete", NAMESPACE, check=False)
    run("netns", "add", NAMESPACE)
    process = None
    try:
        inside = ("-netns", NAMESPACE)
        run("link", "add", LINK, "type", "veth", "peer", "name", "eth0", "netns", NAMESPACE)
        run("address", "add", f"{NEAR}/24", "dev", LINK)
        run("link", "set", LINK, "up")
        for address in (f"{INTERNET}/24", f"{METADATA}/32"):
            run(*inside, "address", "add", address, "dev", "eth0")
        run(*inside, "link", "set", "eth0", "up")
        run(*inside, "link", "set", "lo", "up")
        run(*inside, "route", "add", "default", "via", NEAR)
        run("route", "replace", f"{METADATA}/32", "via", INTERNET)
        command = [ip, "netns", "exec", NAMESPACE, sys.executable, "-c", _LISTEN, json.dumps(PORTS)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert process.stdout is not None
        wait_until(process.stdout.readline, "the host outside listens", 10)
        yield (INTERNET, METADATA)
    finally:
        if process is not None:
            process.kill()
            process.communicate()
        run("route", "delete", f"{METADATA}/32", check=False)
        run("link", "delete", LINK, check=False)
        run("netns", "delete", NAMESPACE, check=False)
