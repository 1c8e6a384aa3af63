# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""A D-Bus client on a bare socket, for what client libraries do not let a test do.

It sends messages that a library refuses to build (a dict with a key twice), sees the signals that the bus really
delivers, works in a process that gave its privileges away, and makes messages as a bus would send them. Values are
plain Python ones:

    with wire.Connection(address) as c:
        body = c.manager("SetupMgmt", "tta{sv}", 0, 1, [("name", ("s", "x"))])

A dict is a list of pairs, a variant a pair (signature, value), a struct a tuple. An error reply raises wire.Error.
"""

import os
import pickle
import socket
import struct

PATIENCE = 60

METHOD_CALL, METHOD_RETURN, ERROR, SIGNAL = 1, 2, 3, 4
NO_REPLY_EXPECTED = 1
FIXED = {"y": "B", "n": "h", "q": "H", "i": "i", "u": "I", "x": "q", "t": "Q", "d": "d", "b": "I", "h": "I"}
ALIGN = {"y": 1, "n": 2, "q": 2, "i": 4, "u": 4, "b": 4, "h": 4, "x": 8, "t": 8, "d": 8, "s": 4, "o": 4, "g": 1,
         "v": 1, "a": 4,
         "(": 8, "{": 8}


class Error(Exception):
    def __init__(self, name, text):
        super().__init__(f"{name}: {text}")
        self.name = name
        self.text = text


class Closed(Exception):
    """The other side closed the connection."""


def split(signature):
    """The complete types of a signature, one by one."""
    types, at = [], 0
    while at < len(signature):
        start = at
        while signature[at] == "a":
            at += 1
        if signature[at] in "({":
            depth = 0
            while True:
                depth += {"(": 1, "{": 1, ")": -1, "}": -1}.get(signature[at], 0)
                at += 1
                if depth == 0:
                    break
        else:
            at += 1
        types.append(signature[start:at])
    return types


def pad(out, align):
    out.extend(bytes(-len(out) % align))


def put(out, kind, value):
    first = kind[0]
    pad(out, ALIGN[first])
    if first in FIXED:
        out += struct.pack("<" + FIXED[first], value)
    elif first in "so":
        raw = value.encode()
        out += struct.pack("<I", len(raw)) + raw + b"\0"
    elif first == "g":
        out += bytes([len(value)]) + value.encode() + b"\0"
    elif first == "v":
        put(out, "g", value[0])
        put(out, value[0], value[1])
    elif first in "({":
        for k, v in zip(split(kind[1:-1]), value):
            put(out, k, v)
    else:
        at = len(out)
        out += b"\0\0\0\0"
        pad(out, ALIGN[kind[1]])
        start = len(out)
        for item in value:
            put(out, kind[1:], item)
        out[at:at + 4] = struct.pack("<I", len(out) - start)


class Reader:
    def __init__(self, data, at=0):
        self.data = data
        self.at = at

    def get(self, kind):
        first = kind[0]
        self.at += -self.at % ALIGN[first]
        if first in FIXED:
            size = struct.calcsize(FIXED[first])
            value, = struct.unpack_from("<" + FIXED[first], self.data, self.at)
            self.at += size
            return bool(value) if first == "b" else value
        if first in "sog":
            size = self.get("y") if first == "g" else self.get("u")
            value = self.data[self.at:self.at + size].decode()
            self.at += size + 1
            return value
        if first == "v":
            return self.get(self.get("g"))
        if first in "({":
            return tuple(self.get(k) for k in split(kind[1:-1]))
        size = self.get("u")
        self.at += -self.at % ALIGN[kind[1]]
        end, items = self.at + size, []
        while self.at < end:
            items.append(self.get(kind[1:]))
        return dict(items) if kind[1] == "{" else items


class Message:
    """Members named as in FIELDS are None where the header has none."""

    FIELDS = {1: ("path", "o"), 2: ("interface", "s"), 3: ("member", "s"), 4: ("error_name", "s"),
              5: ("reply_serial", "u"),
              6: ("destination", "s"), 7: ("sender", "s"), 8: ("signature", "g"), 9: ("fds", "u")}

    def __init__(self, kind, serial=1, flags=0, body=(), **fields):
        self.kind, self.serial, self.flags, self.body = kind, serial, flags, tuple(body)
        self.descriptors = []
        for name, _ in self.FIELDS.values():
            setattr(self, name, fields.get(name))

    def close(self):
        """The descriptors that it brought."""
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors = []

    def encode(self):
        body = bytearray()
        for kind, value in zip(split(self.signature or ""), self.body):
            put(body, kind, value)
        fields = [(code, (kind, getattr(self, name))) for code, (name, kind) in self.FIELDS.items()
                  if getattr(self, name) is not None]
        out = bytearray(struct.pack("<cBBBII", b"l", self.kind, self.flags, 1, len(body), self.serial))
        put(out, "a(yv)", fields)
        pad(out, 8)
        return bytes(out + body)

    @classmethod
    def decode(cls, head, rest):
        _, kind, flags, _, _, serial, size = struct.unpack("<cBBBIII", head)
        fields = dict(Reader(head + rest[:size + -size % 8], 12).get("a(yv)"))
        message = cls(kind, serial, flags, **{cls.FIELDS[c][0]: v for c, v in fields.items() if c in cls.FIELDS})
        reader = Reader(rest[size + -size % 8:])
        message.body = tuple(reader.get(k) for k in split(message.signature or ""))
        return message

    @staticmethod
    def rest(head):
        """How many bytes follow the first 16."""
        _, _, _, _, body, _, size = struct.unpack("<cBBBIII", head)
        return size + -size % 8 + body


class Connection:
    def __init__(self, address, descriptors=False):
        """descriptors: send() may attach some, and messages may bring some: a body has their index in Message.descriptors."""
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(address.split("unix:path=", 1)[1].split(",")[0])
        self.buffer = b""
        self.descriptors = []  # that came and belong to no whole message yet
        self.takes_descriptors = descriptors
        self.serial = 0
        self.signals = []
        self.socket.sendall(b"\0AUTH EXTERNAL " + str(os.geteuid()).encode().hex().encode() + b"\r\n")
        if not self._line().startswith(b"OK "):
            raise Closed("the bus does not know us")
        if descriptors:
            self.socket.sendall(b"NEGOTIATE_UNIX_FD\r\n")
            if self._line() != b"AGREE_UNIX_FD":
                raise Closed("the bus takes no descriptors")
        self.socket.sendall(b"BEGIN\r\n")
        self.name, = self.bus("Hello")

    def _fill(self):
        if self.takes_descriptors:
            data, came, flags, _ = socket.recv_fds(self.socket, 1 << 16, 256)
            assert not flags & socket.MSG_CTRUNC
            self.descriptors += came
        else:
            data = self.socket.recv(1 << 16)
        if not data:
            raise Closed("connection closed")
        self.buffer += data

    def _line(self):
        while b"\r\n" not in self.buffer:
            self._fill()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def _take(self, size):
        while len(self.buffer) < size:
            self._fill()
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def receive(self):
        head = self._take(16)
        message = Message.decode(head, self._take(Message.rest(head)))
        count = message.fds or 0
        message.descriptors, self.descriptors = self.descriptors[:count], self.descriptors[count:]
        return message

    def send(self, destination, path, interface, member, signature="", *body, flags=0, descriptors=()):
        self.serial += 1
        data = Message(METHOD_CALL, self.serial, flags, body, destination=destination, path=path, interface=interface,
                       member=member, signature=signature or None, fds=len(descriptors) or None).encode()
        if descriptors:
            data = data[socket.send_fds(self.socket, [data], descriptors):]
        self.socket.sendall(data)
        return self.serial

    def wait_message(self, serial):
        """The reply to serial; signals that come before it are kept in self.signals."""
        while True:
            message = self.receive()
            if message.kind == SIGNAL:
                self.signals.append(message)
            elif message.reply_serial == serial:
                if message.kind == ERROR:
                    raise Error(message.error_name, message.body[0] if message.body else "")
                return message
            else:
                message.close()

    def wait(self, serial):
        """Its body; descriptors that it brings are closed."""
        message = self.wait_message(serial)
        message.close()
        return message.body

    def attach(self, region, owner, *options):
        """(descriptor, details) of Attach; the caller closes the descriptor."""
        message = self.wait_message(self.send("org.pmemd1", "/org/pmemd1", "org.pmemd1.Manager", "Attach", "osa{sv}",
                                              region, owner, list(options)))
        descriptor, = message.descriptors
        return descriptor, message.body[1]

    def call(self, destination, path, interface, member, signature="", *body):
        return self.wait(self.send(destination, path, interface, member, signature, *body))

    def bus(self, member, signature="", *body):
        return self.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", member, signature,
                         *body)

    def manager(self, member, signature="", *body):
        return self.call("org.pmemd1", "/org/pmemd1", "org.pmemd1.Manager", member, signature, *body)

    def get_all(self, path, interface):
        return self.call("org.pmemd1", path, "org.freedesktop.DBus.Properties", "GetAll", "s", interface)[0]

    def wait_signal(self, member):
        """The next signal of that name, the kept ones first."""
        for at, message in enumerate(self.signals):
            if message.member == member:
                del self.signals[:at + 1]
                return message
        self.signals.clear()
        while True:
            message = self.receive()
            if message.kind == SIGNAL and message.member == member:
                return message

    def close(self):
        self.socket.close()
        for descriptor in self.descriptors:
            os.close(descriptor)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def as_user(uid, function, *arguments, groups=()):
    """Runs function(*arguments) in a child that is uid and nothing else; its result, or what it raised."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        try:
            try:
                os.setgroups(list(groups))
                os.setresgid(65534, 65534, 65534)
                os.setresuid(uid, uid, uid)
                answer = (True, function(*arguments))
            except Error as e:
                answer = (False, ("error", e.name, e.text))
            except Exception as e:
                answer = (False, ("other", type(e).__name__, str(e)))
            with os.fdopen(write, "wb") as f:
                pickle.dump(answer, f)
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as f:
        data = f.read()
    os.waitpid(child, 0)
    fine, answer = pickle.loads(data)
    if fine:
        return answer
    if answer[0] == "error":
        raise Error(*answer[1:])
    raise RuntimeError(f"{answer[1]}: {answer[2]}")
