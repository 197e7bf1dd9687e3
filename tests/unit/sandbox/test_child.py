import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

import sovereigncloud
from sovereigncloud_sandbox.child import Child
from sovereigncloud_sandbox.process_id import ProcessId

SOURCE = Path(sovereigncloud.__file__).parent.parent
SLEEP = [sys.executable, "-c", "import signal; signal.pause()"]
DEAF = [
    sys.executable,
    "-c",
    "import signal; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); signal.pause()",
]


def test_output_and_exit_code_are_kept(tmp_path):
    with Child("talker", ["/bin/sh", "-c", "echo one; echo two >&2; exit 7"], log=tmp_path / "log") as child:
        assert child.wait(10) == 7
    assert child.tail() == "one\ntwo"
    assert child.tail(1) == "two"


def test_a_program_that_cannot_be_executed_is_an_error_at_once(tmp_path):
    with pytest.raises(OSError, match="ghost cannot be started: /nowhere/ghost: No such file or directory"):
        Child("ghost", ["/nowhere/ghost"], log=tmp_path / "log")


@pytest.mark.parametrize(
    ("command", "code", "why"),
    [
        (SLEEP, 128 + signal.SIGTERM, "SIGTERM is enough for most"),
        (DEAF, 128 + signal.SIGKILL, "one that ignores it is killed after the grace"),
    ],
)
def test_stop_ends_the_program(tmp_path, command, code, why):
    child = Child("program", command, log=tmp_path / "log", grace=0.3)
    process = ProcessId.of(child.pid)
    if command is DEAF:
        while "deaf" not in child.tail():
            time.sleep(0.01)
    assert child.stop() == code, why
    assert not process.is_alive()
    assert child.stop() == code, "again is harmless"


def test_what_the_program_started_ends_with_it(tmp_path):
    child = Child("shell", ["/bin/sh", "-c", "sleep 1000 & echo $!; wait"], log=tmp_path / "log")
    while not child.tail():
        time.sleep(0.01)
    grandchild = ProcessId.of(int(child.tail()))
    assert grandchild.is_alive()
    child.stop()
    assert grandchild.wait(5)


def test_a_killed_guard_takes_its_program_along(tmp_path):
    child = Child("program", SLEEP, log=tmp_path / "log")
    process = ProcessId.of(child.pid)
    os.kill(child.guard_pid, signal.SIGKILL)
    assert process.wait(5)
    child.stop()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_program_does_not_outlive_the_process_that_started_it(tmp_path, number):
    parent_code = textwrap.dedent("""
        import pathlib, signal, sys
        from sovereigncloud_sandbox.child import Child
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts jobs in the background with it ignored
        children = [Child(str(n), sys.argv[2:], log=pathlib.Path(sys.argv[1])) for n in range(2)]
        print(*(pid for child in children for pid in (child.pid, child.guard_pid)), flush=True)
        signal.pause()
    """)
    with subprocess.Popen(
        [sys.executable, "-c", parent_code, str(tmp_path / "log"), *SLEEP],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
    ) as parent:
        try:
            processes = [ProcessId.of(int(pid)) for pid in parent.stdout.readline().split()]
        finally:
            parent.send_signal(number)
    assert len(processes) == 4
    for process in processes:
        assert process.wait(5)


def test_a_program_outlives_the_thread_that_started_it(tmp_path):
    # The trap of PR_SET_PDEATHSIG, which fires at the end of the thread that forked.
    started = []
    thread = threading.Thread(target=lambda: started.append(Child("program", SLEEP, log=tmp_path / "log")))
    thread.start()
    thread.join()
    [child] = started
    assert child.wait(0.3) is None
    assert ProcessId.of(child.pid) is not None
    child.stop()


def test_a_recycled_pid_is_another_process():
    me = ProcessId.of(os.getpid())
    with subprocess.Popen(SLEEP) as stranger:
        now = ProcessId.of(stranger.pid)
        before = [
            ProcessId(now.pid, now.started - 1, now.boot),  # the same pid, started earlier
            ProcessId(now.pid, now.started, "another boot"),  # the same pid and ticks, before the machine was restarted
        ]
        for process in before:
            assert not process.is_alive()
            assert process.wait(0)
            process.end(grace=0)
        assert stranger.poll() is None
        now.end(grace=5)
        assert stranger.wait(5) == -signal.SIGTERM
    assert me.is_alive()


def test_a_process_that_waits_for_its_parent_has_ended():
    with subprocess.Popen(["/bin/true"]) as zombie:
        process = ProcessId.of(zombie.pid)
        assert process is None or process.wait(5)
        assert ProcessId.of(zombie.pid) is None
