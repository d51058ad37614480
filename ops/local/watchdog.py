"""Ends a process group when the process that started it has ended, in whatever way.

Started by :class:`ops.local.processes.ProcessGroup` as the leader of the group that all servers join, with a pipe from
the starting process as standard input. When that process ends, even by SIGKILL, the kernel closes the pipe, and this
one ends the group and itself. Runs as a plain file in an isolated interpreter: standard library only.
"""

import os
import signal
import sys
import time


def main() -> None:
    """Wait for the end of standard input, then ask the group to end, and kill it after ``argv[1]`` seconds."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.killpg(0, signal.SIGTERM)
    time.sleep(float(sys.argv[1]))
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
