"""Two hosts on one machine: network namespaces joined by a cable (a veth pair), which see the same files unless told otherwise.

A host whose power is cut says nothing more to anybody: the cable is drawn first, and only then is everything on it killed.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import pytest


def why_not() -> str:
    """Why there can be no such hosts here; empty where there can."""
    if sys.platform != "linux" or not (shutil.which("ip") and shutil.which("unshare")):
        return "needs Linux and the programs ip (iproute2) and unshare (util-linux)"
    if os.geteuid():
        return "needs root, to make network namespaces"
    made = subprocess.run(["ip", "netns", "add", f"trial{os.getpid()}"], capture_output=True, text=True, check=False)
    subprocess.run(["ip", "netns", "delete", f"trial{os.getpid()}"], capture_output=True, check=False)
    return f"may not make network namespaces here: {made.stderr.strip()}" if made.returncode else ""


@dataclass(slots=True)
class Host:
    """A network namespace with a cable, and what was started in it."""

    name: str
    address: str
    lacks: Path | None = None
    """A folder that it does not see."""
    started: list["subprocess.Popen[str]"] = field(default_factory=list)

    @property
    def cable(self) -> str:
        """Its end of the cable."""
        return f"c{self.name}"

    def start(self, command: Sequence[str], environment: Mapping[str, str], said: IO[str]) -> "subprocess.Popen[str]":
        """Starts a program, to which this host goes by its name."""
        hide = f"mount -t tmpfs none '{self.lacks}' && " if self.lacks else ""
        within = ["ip", "netns", "exec", self.name, "unshare", "--uts", "--mount", "sh", "-c"]
        script = f'hostname {self.name} && {hide}exec "$@"'
        env = {**os.environ, **environment, "GLOO_SOCKET_IFNAME": self.cable}
        self.started.append(subprocess.Popen([*within, script, "sh", *command], env=env, stdout=said, stderr=said, text=True))
        return self.started[-1]

    def processes(self) -> dict[int, str]:
        """Titles of what runs on it, by process id."""
        listed = subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True, check=False).stdout.split()
        return {int(pid): _title(int(pid)) for pid in listed}

    def signal(self, number: signal.Signals, title: str = "") -> None:
        """Sends a signal to everything that runs on it with a title that begins so."""
        for pid, name in self.processes().items():
            if name.startswith(title):
                with suppress(ProcessLookupError):
                    os.kill(pid, number)

    def plug(self, state: str) -> None:
        """Puts the cable `up` or `down`."""
        _ip("-n", self.name, "link", "set", self.cable, state)

    def kill(self) -> None:
        """SIGKILL to everything that runs on it."""
        self.signal(signal.SIGKILL)
        for process in self.started:
            process.wait(30)

    def cut_power(self) -> None:
        """Nobody hears of its end."""
        self.plug("down")
        self.kill()


@contextmanager
def two_hosts() -> Generator[tuple[Host, Host]]:
    """Two hosts that reach each other; the test is skipped where there can be none."""
    if reason := why_not():
        pytest.skip(reason)
    one, other = (Host(f"ds{os.getpid()}{letter}", f"10.77.0.{number}") for number, letter in enumerate("ab", start=1))
    try:
        for host in (one, other):
            _ip("netns", "add", host.name)
        _ip("link", "add", one.cable, "netns", one.name, "type", "veth", "peer", "name", other.cable, "netns", other.name)
        for host in (one, other):
            _ip("-n", host.name, "address", "add", f"{host.address}/24", "dev", host.cable)
            _ip("-n", host.name, "link", "set", "lo", "up")
            host.plug("up")
        yield one, other
    finally:
        for host in (one, other):
            host.kill()
            subprocess.run(["ip", "netns", "delete", host.name], capture_output=True, check=False)


def _title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)
