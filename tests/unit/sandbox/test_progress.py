import io

import pytest

from sovereigncloud_sandbox.progress import Progress


class Screen(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("stream", "ticks", "expected", "why"),
    [
        (
            Screen(),
            [1, 65],
            "\r\033[Kbuilding 0:01\r\033[Kbuilding 1:05\r\033[Kbuilding 1:05, done\n",
            "one line on a tty",
        ),
        (io.StringIO(), [1, 2, 14], "building 0:01\nbuilding 0:14, done\n", "a log gets no line per tick"),
        (
            io.StringIO(),
            [0, 15, 29, 31],
            "building 0:00\nbuilding 0:15\nbuilding 0:31\nbuilding 0:31, done\n",
            "one in 15 s",
        ),
        (io.StringIO(), [], "", "what takes no time is not worth a line"),
    ],
)
def test_progress(stream, ticks, expected, why):
    now = [100.0]
    progress = Progress("building", stream, clock=lambda: now[0])
    for tick in ticks:
        now[0] = 100.0 + tick
        progress.tick()
    progress.done("done")
    assert stream.getvalue() == expected, why
