# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""Stands in for the system's journal: takes the entries that programs send to /run/systemd/journal/socket.

    journal.private_run()              # first thing in the program: this process alone sees an empty /run from here on
    with journal.Journal() as j:
        daemon = harness.Daemon(..., environment=j.environment(log_path))
        entry = j.wait(lambda e: e.get("MESSAGE_ID") == ID)
"""

import array
import os
import socket
import struct
import sys
import threading

PATH = "/run/systemd/journal/socket"
INSIDE = "PMEMD_TEST_PRIVATE_RUN"


def private_run():
    """Starts the program again in a mount namespace of its own (of a user's own, when not root), with an empty /run."""
    if os.environ.get(INSIDE) == "1":
        return
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    script = 'mount -t tmpfs -o mode=755 tmpfs /run && exec "$@"'
    os.environ[INSIDE] = "1"
    os.execvp("unshare", ["unshare", *user, "--mount", "--propagation=private", "sh", "-c", script, "sh",
                          sys.executable, *sys.argv])


def parse(data):
    """The fields of one entry of the journal's native protocol; ValueError when it is not well formed."""
    fields = {}
    while data:
        line, newline, data = data.partition(b"\n")
        if not newline:
            raise ValueError(f"an entry ends within a line: {line!r}")
        key, equals, value = line.partition(b"=")
        if not equals:
            (length,) = struct.unpack_from("<Q", data)
            value, data = data[8 : 8 + length], data[8 + length :]
            if data[:1] != b"\n":
                raise ValueError(f"the binary field {key!r} does not end with a newline")
            data = data[1:]
        name = key.decode("ascii")
        if name in fields:
            raise ValueError(f"{name} is there twice")
        fields[name] = value.decode("utf-8")
    return fields


class Journal:
    """entries: all that came so far, oldest first."""

    def __init__(self):
        self.entries = []
        self.problem = None
        self.socket = None
        self.changed = threading.Condition()

    def __enter__(self):
        if os.environ.get(INSIDE) != "1":
            raise RuntimeError("journal.private_run() comes first: this is the machine's own /run")
        os.makedirs(os.path.dirname(PATH), exist_ok=True)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(PATH)
        os.chmod(PATH, 0o666)
        threading.Thread(target=self._receive, args=(self.socket,), daemon=True).start()
        return self

    def __exit__(self, *_):
        os.unlink(PATH)
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def _receive(self, sock):
        while True:
            try:
                data, ancillary, _, _ = sock.recvmsg(1 << 20, socket.CMSG_SPACE(4))
            except OSError:
                return
            # What does not fit a datagram comes as a sealed file.
            for level, kind, content in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    with os.fdopen(array.array("i", content)[0], "rb") as file:
                        file.seek(0)
                        data = file.read()
            if not data:
                return
            with self.changed:
                try:
                    self.entries.append(parse(data))
                except ValueError as error:
                    self.problem = error
                self.changed.notify_all()

    @staticmethod
    def environment(path):
        """What makes a program whose stderr is the file at path (made if missing) take it for the journal's stream."""
        with open(path, "ab") as file:
            st = os.fstat(file.fileno())
        return {"JOURNAL_STREAM": f"{st.st_dev}:{st.st_ino}"}

    def wait(self, wanted, seconds=60):
        """The first entry that wanted() is true of; AssertionError with all that came when there is none in time."""
        with self.changed:
            if not self.changed.wait_for(lambda: self.problem or any(map(wanted, self.entries)), seconds) or self.problem:
                raise AssertionError(f"{self.problem or 'not logged'}; there is:\n" + "\n".join(map(str, self.entries)))
            return next(filter(wanted, self.entries))
