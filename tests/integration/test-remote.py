#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""pmemctl --host: over the real ssh to a real sshd on the loopback, through systemd-stdio-bridge, to a real pmemd; and
how pmemctl asks for passwords."""

import errno
import getpass
import os
import pty
import shutil
import socket
import subprocess
import unittest

import harness

SSHD = "/usr/sbin/sshd"
NOBODY = 65534

# Nothing of the machine's configuration or of the user's is read. The bridge takes the bus of the tests for the system's.
SSHD_CONFIG = """\
ListenAddress 127.0.0.1:{port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/user_key.pub
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
PidFile none
ForceCommand {folder}/command
"""
COMMAND = """\
#!/bin/sh
echo "$SSH_ORIGINAL_COMMAND" >>{folder}/commands
[ "$SSH_ORIGINAL_COMMAND" = systemd-stdio-bridge ] || exit 1
exec systemd-stdio-bridge --bus-path={address}
"""
SSH_CONFIG = """\
IdentityFile {folder}/user_key
IdentitiesOnly yes
BatchMode yes
UserKnownHostsFile {folder}/known_hosts
GlobalKnownHostsFile /dev/null
StrictHostKeyChecking yes
"""


def write(path, text, mode=0o600):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path, mode)


class Server:
    """An sshd of the test's own, and an ssh that knows it."""

    def __init__(self, folder, address):
        self.folder = folder
        self.address = address
        self.made_run = False
        self.process = None

    def start(self):
        for name in "host_key", "user_key":
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", os.path.join(self.folder, name)],
                           check=True, stdin=subprocess.DEVNULL)
        # As root sshd wants the folder that its package's service makes.
        if os.getuid() == 0 and not os.path.exists("/run/sshd"):
            os.mkdir("/run/sshd", 0o755)
            self.made_run = True
        while True:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
            if self._listen():
                break
        with open(os.path.join(self.folder, "host_key.pub"), encoding="ascii") as f:
            key = " ".join(f.read().split()[:2])
        write(os.path.join(self.folder, "known_hosts"), f"[127.0.0.1]:{self.port} {key}\n")
        write(os.path.join(self.folder, "ssh_config"), SSH_CONFIG.format(folder=self.folder))
        write(os.path.join(self.folder, "command"),
              COMMAND.format(folder=self.folder, address=self.address), 0o755)
        # The real ssh, with our configuration: libsystemd looks for "ssh" in PATH and passes no option for that.
        os.mkdir(os.path.join(self.folder, "bin"))
        write(os.path.join(self.folder, "bin", "ssh"),
              f'#!/bin/sh\nexec {shutil.which("ssh")} -F {self.folder}/ssh_config "$@"\n', 0o755)
        self.environment = {"PATH": os.path.join(self.folder, "bin") + ":" + os.environ["PATH"]}
        return self

    def _listen(self):
        """False: somebody else took the port."""
        config = os.path.join(self.folder, "sshd_config")
        write(config, SSHD_CONFIG.format(port=self.port, folder=self.folder))
        self.process = subprocess.Popen([SSHD, "-D", "-e", "-f", config], stdin=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True)
        lines = []
        for line in self.process.stderr:
            lines.append(line)
            if "Server listening on" in line:
                return True
        harness.wait_exit(self.process)
        self.process.stderr.close()
        self.process = None
        if not any("Address already in use" in line for line in lines):
            raise harness.HarnessError("sshd ended: " + "".join(lines))
        return False

    def commands(self):
        with open(os.path.join(self.folder, "commands"), encoding="utf-8") as f:
            return f.read().splitlines()

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            harness.wait_exit(self.process)
            self.process.stderr.close()
        if self.made_run:
            os.rmdir("/run/sshd")


class Remote(unittest.TestCase):
    def setUp(self):
        self.host = harness.Host().__enter__()
        self.addCleanup(self.host.__exit__)
        folder = os.path.join(self.host.folder, "ssh")
        os.mkdir(folder, 0o700)
        self.server = Server(folder, self.host.bus.address)
        self.addCleanup(self.server.stop)
        self.server.start()
        self.name = f"{getpass.getuser()}@127.0.0.1:{self.server.port}"

    def ctl(self, *arguments, **options):
        return harness.run_ctl(None, *arguments, environment={**self.server.environment, **options})

    def test_main_job(self):
        """What is done through ssh is done there; -H goes before PMEMCTL_BUS."""
        done = self.ctl("-H", self.name, "allocate-mgmt", "256M", "--name=pool0",
                        PMEMCTL_BUS="unix:path=/nonexistent")
        self.assertEqual((done.status, done.err), (0, ""), done)
        self.assertEqual(self.ctl("--host=" + self.name, "allocate-data", "16M", "--name=guest0").status, 0)
        done = self.ctl("-H", self.name, "list", "--json")
        self.assertEqual(done.json(), self.host.ctl("list", "--json").json())
        self.assertEqual([region["name"] for region in done.json()["data"]], ["guest0"])
        done = self.ctl("-H", self.name, "release", "guest0", "--wait")
        self.assertEqual((done.status, done.err), (0, ""), done)
        self.assertEqual(set(self.server.commands()), {"systemd-stdio-bridge"})

    def test_import(self):
        """There, and by the users of there: whose name a uid has is not known here."""
        self.host.ctl("allocate-mgmt", "256M", "--name=pool0")
        self.host.ctl("allocate-data", "16M", "--name=guest0")
        self.host.ctl("set-owner", "guest0", str(NOBODY))
        path = os.path.join(self.host.folder, "export.json")
        self.assertEqual(self.ctl("-H", self.name, "export", "--output=" + path).status, 0)
        with open(path, encoding="utf-8") as f:
            text = f.read()
        for name, owner in ("nobody", NOBODY), ("somebody", 0):
            self.assertEqual(self.host.ctl("release", "guest0", "--wait").status, 0)
            write(path, text.replace('"nobody"', f'"{name}"'))
            done = self.ctl("-H", self.name, "import", path, "--apply")
            self.assertEqual((done.status, done.err), (0, ""), done)
            self.assertEqual(self.host.ctl("show", "guest0", "--json").json()["region"]["owner_uid"], owner)
        self.assertIn("stays root's: user 65534 is not somebody there", done.out)

    def test_errors(self):
        """What pmemd refuses there, no pmemd there, no such host, and what is no host."""
        done = self.ctl("-H", self.name, "show", "nobody", "--json")
        self.assertEqual((done.status, done.out), (1, ""), done)
        self.assertIn("org.pmemd1.Error.NoSuchRegion", done.err)
        self.host.daemon.stop()
        done = self.ctl("-H", self.name, "list")
        self.assertEqual(done.status, 1, done)
        self.assertIn(f"pmemd is not running on the system bus of {self.name}: "
                      f"start it with 'systemctl -H {self.name} start pmemd'", done.err)
        self.server.process.terminate()
        harness.wait_exit(self.server.process)
        done = self.ctl("-H", self.name, "list")
        self.assertEqual((done.status, done.out), (1, ""), done)
        self.assertIn(f"cannot connect to the system bus of {self.name}: ", done.err)
        marker = os.path.join(self.host.folder, "marker")
        for name in "", "-oProxyCommand=touch " + marker, "a b;touch " + marker:
            done = self.ctl("--host=" + name, "list")
            self.assertEqual((done.status, done.out), (1, ""), done)
        self.assertFalse(os.path.exists(marker))


class Passwords(unittest.TestCase):
    """An agent for the terminal, when there is one and polkit may ask. The agent is a stand-in that says what it was
    told; what a real one does with polkit is polkit's."""

    AGENT = """\
#!/bin/sh
trap 'echo ended >>{folder}/agent; kill $!; exit 0' TERM
echo "$@" >>{folder}/agent
exec 3>&-
while :; do sleep 1000 & wait; done
"""

    def setUp(self):
        self.host = harness.Host().__enter__()
        self.addCleanup(self.host.__exit__)
        self.folder = os.path.join(self.host.folder, "agent")
        os.mkdir(self.folder)
        write(os.path.join(self.folder, "pkttyagent"), self.AGENT.format(folder=self.folder), 0o755)
        os.chmod(self.folder, 0o777)

    def on_terminal(self, *arguments, user=NOBODY):
        """Runs pmemctl as another user on a terminal; what the agent said."""
        log = os.path.join(self.folder, "agent")
        if os.path.exists(log):
            os.unlink(log)
        pid, terminal = pty.fork()
        if pid == 0:
            os.environ["PATH"] = self.folder + ":" + os.environ["PATH"]
            if user != 0:
                os.setgroups([])
                os.setgid(user)
                os.setuid(user)
            os.execv(os.environ["PMEMCTL_EXE"], ["pmemctl", "--bus=" + self.host.bus.address, *arguments])
        try:
            while os.read(terminal, 4096):
                pass
        except OSError as e:
            self.assertEqual(e.errno, errno.EIO)
        os.waitpid(pid, 0)
        os.close(terminal)
        if not os.path.exists(log):
            return []
        with open(log, encoding="ascii") as f:
            return f.read().splitlines()

    def test_agent(self):
        """It is there for a change, and gone after it."""
        self.assertEqual(self.on_terminal("allocate-mgmt", "256M"), ["--notify-fd 3 --fallback", "ended"])

    def test_no_agent(self):
        """Not for what changes nothing, nor unasked-for, nor for root, nor without a terminal."""
        self.assertEqual(self.on_terminal("list"), [])
        self.assertEqual(self.on_terminal("plan", "allocate-mgmt", "256M"), [])
        self.assertEqual(self.on_terminal("--no-ask-password", "allocate-mgmt", "256M"), [])
        self.assertEqual(self.on_terminal("allocate-mgmt", "256M", user=0), [])
        self.host.ctl("allocate-mgmt", "256M", user=NOBODY,
                      environment={"PATH": self.folder + ":" + os.environ["PATH"]})
        self.assertFalse(os.path.exists(os.path.join(self.folder, "agent")))

    def test_flag(self):
        """The message itself allows polkit to ask, or does not."""
        for option, flags in ("", "4"), ("--no-ask-password", "0"):
            with subprocess.Popen(["busctl", "--address=" + self.host.bus.address, "monitor",
                                   "--match=type='method_call',member='Rename'"], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as monitor:
                self.assertIn("Monitoring", monitor.stderr.readline())
                self.host.ctl("rename", "/org/pmemd1/region/0", "x", *filter(None, [option]))
                self.assertIn(f"Flags={flags} ", monitor.stdout.readline())
                monitor.kill()


if __name__ == "__main__":
    harness.main()
