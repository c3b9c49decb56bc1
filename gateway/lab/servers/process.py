"""A child process with its output in a file: started, waited for, stopped by its process ID, never by its name."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self, TypeVar

from gateway.lab.servers.waiting import WaitError, auntil, until

T = TypeVar("T")

SYSTEM_DIRECTORIES = ("/usr/local/sbin", "/usr/sbin", "/sbin")  # where servers lie, and often not in a user's PATH
PEERS_DIRECTORY = "/opt/zonegate-peers"  # where `make peers` puts what the distribution lacks
LOG_LIMIT = 4 << 20  # bytes kept of a child's output


class ChildError(RuntimeError):
    """A child process did not start, or ended when it should not. The text ends with the last lines of its log."""


def find_binary(name: str) -> str | None:
    """The path of a program: from PATH, the system directories, or what `make peers` installed; None if absent."""
    peers = Path(os.environ.get("ZONEGATE_PEERS", PEERS_DIRECTORY)) / "bin"
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *SYSTEM_DIRECTORIES, str(peers)])
    return shutil.which(name, path=path)


class ChildProcess:
    """One child process; a context manager that starts it and stops it.

    Its output goes to `log`. It has a session of its own, so that Ctrl-C reaches the parent alone, which then stops its
    children in order; and it is told to end when the parent dies, where `setpriv` of util-linux is there for that.
    """

    def __init__(
        self,
        argv: Sequence[str | Path],
        log: Path,
        *,
        name: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        """`env` is added to the parent's environment; `name`, for error texts, is that of the program unless given."""
        self.argv = [str(word) for word in argv]
        self.log = log
        self.name = name or Path(self.argv[0]).name
        self._env = env
        self._cwd = cwd
        self._pass_fds = tuple(pass_fds)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process ID.

        Raises:
            ChildError: it was not started.
        """
        if self._process is None:
            raise ChildError(f"{self.name} was not started")
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def returncode(self) -> int | None:
        """Its exit status, minus the signal that ended it, or None as long as it runs."""
        return None if self._process is None else self._process.poll()

    def start(self) -> Self:
        """Start it. It is not yet ready for anything: follow with `wait` or `await_`.

        Raises:
            ChildError: already running, or the program can't be executed.
        """
        if self.alive:
            raise ChildError(f"{self.name} is already running")
        with self._open_log() as output:
            try:
                self._process = subprocess.Popen(
                    [*_end_with_parent(), *self.argv],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=None if self._env is None else {**os.environ, **self._env},
                    cwd=self._cwd,
                    pass_fds=self._pass_fds,
                    start_new_session=True,
                )
            except OSError as error:
                raise ChildError(f"{self.name} can't be started: {error}") from error
        return self

    def wait(self, condition: Callable[[], T], timeout: float = 15.0, what: str = "it to be ready") -> T:
        """Block until the condition holds.

        Raises:
            ChildError: the process ended, or the time is up.
        """
        try:
            return until(lambda: self._still(condition()), timeout, what)
        except WaitError as error:
            raise ChildError(f"{self.name}: {error}{self._last_words()}") from None

    async def await_(
        self,
        condition: Callable[[], T],
        timeout: float = 15.0,  # noqa: ASYNC109 - the error must say what was waited for
        what: str = "it to be ready",
    ) -> T:
        """`wait` for the event loop. The condition must not block.

        Raises:
            ChildError: the process ended, or the time is up.
        """
        try:
            return await auntil(lambda: self._still(condition()), timeout, what)
        except WaitError as error:
            raise ChildError(f"{self.name}: {error}{self._last_words()}") from None

    def check(self) -> None:
        """Nothing, as long as it runs; also keeps the log within its bound.

        Raises:
            ChildError: it has ended, or was never started.
        """
        if not self.alive:
            raise ChildError(f"{self.name} ended with status {self.returncode}{self._last_words()}")
        # Output is appended, so a log that was cut goes on at its beginning.
        if self.log.stat().st_size > LOG_LIMIT:
            os.truncate(self.log, 0)

    def send(self, signal_number: signal.Signals) -> None:
        """Send it a signal; nothing happens when it has ended."""
        if self._process is not None:
            self._process.send_signal(signal_number)

    def stop(self, timeout: float = 10.0) -> int | None:
        """End it: SIGTERM, after `timeout` seconds SIGKILL. Returns its exit status; None if it was never started."""
        if self._process is None:
            return None
        self._process.terminate()
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def tail(self, lines: int = 15) -> str:
        """The last lines of its log."""
        try:
            text = self.log.read_text(errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _open_log(self) -> IO[bytes]:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        return self.log.open("ab")

    def _still(self, result: T) -> T:
        if not result:
            self.check()
        return result

    def _last_words(self) -> str:
        tail = self.tail()
        return f"\nlast lines of {self.log}:\n{tail}" if tail else f"\n(nothing in {self.log})"


def _end_with_parent() -> list[str]:
    # For the kernel the parent is a thread (prctl(2), PR_SET_PDEATHSIG), and only the main one lasts to the end.
    if threading.current_thread() is not threading.main_thread():
        return []
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []
