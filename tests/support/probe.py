"""Runs in a pod: tries to connect to each address on standard input, and prints which attempts succeeded.

It is passed to the Python of the pod's image (`python -c`), so it uses the standard library alone.
"""

from __future__ import annotations

import asyncio
import json
import sys

SECONDS = 3


async def connects(host: str, port: int) -> bool:
    """Whether a connection can be opened in time."""
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(host, port), SECONDS)
    except (TimeoutError, OSError):
        return False
    writer.close()
    return True


async def main() -> None:
    """Answer with one boolean for each address, in order."""
    targets = [(host, port) for host, port in json.load(sys.stdin)]
    results = await asyncio.gather(*(connects(host, port) for host, port in targets))
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main())
