"""Processes that are copies of this one: how they start, and every way in which they end."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

PROGRAM = """
    import os, signal, sys, time
    from liushui.server.fork_server import ForkServer, Job, end_with_standard_input

    def fail():
        raise ValueError("the job failed")

    def wait():
        end_with_standard_input()
        time.sleep(600)

    def interrupt():
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(600)

    shared = ["made before the fork"]
    server = ForkServer([
        Job("print", lambda: print(*shared, flush=True)),
        Job("exit", lambda: sys.exit(7)),
        Job("fail", fail),
        Job("wait", wait),
        Job("interrupt", interrupt),
    ])
    server.start()
"""


def run(lines: str) -> subprocess.CompletedProcess[str]:
    """Run a program that has a fork server with the jobs above."""
    program = textwrap.dedent(PROGRAM) + textwrap.dedent(lines)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    ("job", "code"), [(0, 0), (1, 7), (2, 1), (4, 130)], ids=["returns", "exits", "raises", "interrupted"]
)
def test_a_job_ends_with_its_exit_code(job: int, code: int) -> None:
    done = run(f"""
        process = server.run({job})
        assert process.pid not in (None, os.getpid())
        process.join()
        print(process.exitcode, process.is_alive())
    """)
    assert done.returncode == 0, done.stderr
    printed = done.stdout.splitlines()
    assert printed[-1] == f"{code} False"
    assert printed[:-1] == (["made before the fork"] if job == 0 else [])
    assert ("ValueError: the job failed" in done.stderr) == (job == 2)


def test_a_job_can_be_run_again_and_several_times_at_once() -> None:
    done = run("""
        running = [server.run(3) for _ in range(5)]
        again = [server.run(1) for _ in range(5)]
        for process in again:
            process.join()
        print([process.exitcode for process in again], [process.is_alive() for process in running])
        for process in running[:3]:
            process.terminate()
        for process in running[3:]:
            process.kill()
        for process in running:
            process.join()
            process.kill()  # it has ended: nothing happens
        print([process.exitcode for process in running])
    """)
    assert done.stdout.splitlines() == ["[7, 7, 7, 7, 7] [True, True, True, True, True]", "[-15, -15, -15, -9, -9]"]


def test_processes_end_with_the_one_that_started_them() -> None:
    """`run` returns when the pipes of the output are closed, and each of the processes has them open."""
    done = run("""
        for _ in range(3):
            server.run(3)
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    assert done.returncode == -9


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the fork server as Linux lets it")
def test_without_the_fork_server_no_process_starts() -> None:
    done = run("""
        from liushui.server.fork_server import ForkServerEnded
        process = server.run(3)
        os.kill(int(open(f"/proc/self/task/{os.getpid()}/children").read()), signal.SIGKILL)
        process.join()
        print(process.exitcode, process.is_alive())
        try:
            server.run(1)
        except ForkServerEnded as error:
            print(error)
    """)
    assert done.stdout.splitlines() == [
        "1 False",
        "the process that starts the workers has ended: the system may have killed it to free memory",
    ]
