"""Runs in a pod: tries to connect to each address of standard input, and says which attempt succeeded.

Sent to a Python that is there already (`python -c`), so it uses the standard library alone.
"""

from __future__ import annotations

import asyncio
import json
import sys

SECONDS = 3


async def connects(host: str, port: int) -> bool:
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(host, port), SECONDS)
    except (TimeoutError, OSError):
        return False
    writer.close()
    return True


async def main() -> None:
    targets = [(host, port) for host, port in json.load(sys.stdin)]
    found = await asyncio.gather(*(connects(host, port) for host, port in targets))
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main())
