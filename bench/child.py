"""Runs a command and writes its time and memory to a file, as JSON: `child.py FILE COMMAND…`. Standard library only.

Linux counts the parent's memory at the time of the fork into the child's peak. This parent is therefore kept as small
as a Python process can be: run it with -I -S.
"""

import json
import os
import resource
import subprocess
import sys
import threading
import time

SAMPLE_S = 0.05


def main() -> int:
    """Return the command's exit code."""
    file, command = sys.argv[1], sys.argv[2:]
    begun = time.perf_counter()
    process = subprocess.Popen(command)
    watch = _Watch(process.pid)
    watch.start()
    code = process.wait()
    wall_s = time.perf_counter() - begun
    watch.ended.set()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    unit = 1 if sys.platform == "darwin" else 1024
    took = {
        "wall_s": wall_s,
        "cpu_s": used.ru_utime + used.ru_stime,
        "rss_bytes": used.ru_maxrss * unit,
        "private_bytes": watch.most_bytes,
    }
    with open(file, "w", encoding="utf-8") as out:  # noqa: PTH123 - pathlib would make this process larger
        json.dump(took, out)
    return code if code >= 0 else 1


class _Watch(threading.Thread):
    """Samples the memory of a process without mapped files. The value is 0 if the system does not report it."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._status = f"/proc/{pid}/status"
        self.most_bytes = 0
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.wait(SAMPLE_S):
            try:
                with open(self._status, encoding="ascii", errors="replace") as status:  # noqa: PTH123 - as above
                    found = [int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon:")]
            except OSError:
                return
            self.most_bytes = max([self.most_bytes, *found])


os._exit(main())
