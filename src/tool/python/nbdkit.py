# nbdkit: reads qcow2 by its filter qcow2dec. The program is served on a pair of sockets, since a tool may open none; the requests are those of NBD (doc/proto.md of the
# NetworkBlockDevice project): what nbdcopy sends to copy an image.
import socket
import struct
import subprocess
import tempfile
from pathlib import Path

PROGRAM = @NBDKIT@
PIECE_BYTES_MAX = 1 << 20
OPTION, GO, ACKNOWLEDGED, INFO, EXPORT, ERRORS = b"IHAVEOPT", 7, 1, 3, 0, 1 << 31
OPTION_REPLY, REQUEST, REPLY, READ, DISCONNECT = 0x3E889045565A9, 0x25609513, 0x67446698, 0, 2
# What the filter says of a feature that it names and does not know.
UNKNOWN = ("not supported", "unsupported", "only support")


class Refusal(OSError):
    pass


def config():
    said = subprocess.run([PROGRAM, "--dump-config"], capture_output=True, text=True, check=True).stdout
    return dict(line.split("=", 1) for line in said.splitlines() if "=" in line)


CONFIG = config()


def part(kind, name):
    """A plugin or filter, also of an nbdkit that was unpacked beside the system."""
    told = Path(CONFIG[f"{kind}dir"], f"nbdkit-{name}-{kind}.so")
    binary = Path(CONFIG.get("binary", PROGRAM)).resolve()
    unpacked = binary.parent.parent.parent.joinpath(*told.parts[1:])
    found = next((path for path in (told, unpacked) if path.exists()), None)
    return str(found) if found else sys.exit(f"nbdkit {CONFIG['version']} has no {kind} {name}")


FILE, QCOW2DEC = part("plugin", "file"), part("filter", "qcow2dec")


class Client:
    """A connection to an nbdkit of its own, which ends with it."""

    def __init__(self, path):
        self.said = tempfile.TemporaryFile()
        self.own, other = socket.socketpair()
        line = [PROGRAM, "-s", "-r", "-t", "1", f"--filter={QCOW2DEC}", FILE, f"file={path}"]
        self.process = subprocess.Popen(line, stdin=other, stdout=other, stderr=self.said)
        other.close()

    def close(self):
        with contextlib.suppress(OSError):
            self.own.sendall(struct.pack(">IHHQQI", REQUEST, 0, DISCONNECT, 0, 0, 0))
        self.own.close()
        self.process.wait()
        self.said.close()

    def receive(self, length):
        pieces = bytearray()
        while len(pieces) < length:
            piece = self.own.recv(length - len(pieces))
            if not piece:
                raise self.refusal("the connection ends")
            pieces += piece
        return bytes(pieces)

    def refusal(self, what):
        self.said.seek(0)
        lines = self.said.read().decode("utf-8", "replace").split("\n")
        errors = [line.split("error: ", 1)[1] for line in lines if "error: " in line]
        status = self.process.poll()
        if status is not None and status < 0:
            raise RuntimeError(f"nbdkit was ended by signal {-status}")
        why = (errors or [what])[0]
        is_unknown = any(words in why for words in UNKNOWN)
        return Unsupported(why) if is_unknown else Refusal(why)

    def size(self):
        self.receive(len(b"NBDMAGIC" + OPTION) + 2)
        self.own.sendall(struct.pack(">I8sIIIH", 3, OPTION, GO, 6, 0, 0))
        size = None
        while True:
            _, _, kind, length = struct.unpack(">QIII", self.receive(20))
            data = self.receive(length)
            if kind == INFO and struct.unpack(">H", data[:2])[0] == EXPORT:
                (size,) = struct.unpack(">Q", data[2:10])
            elif kind == ACKNOWLEDGED:
                return size
            elif kind & ERRORS:
                raise self.refusal(data.decode("utf-8", "replace"))

    def read(self, offset, length):
        self.own.sendall(struct.pack(">IHHQQI", REQUEST, 0, READ, 0, offset, length))
        _, error, _ = struct.unpack(">IIQ", self.receive(16))
        if error:
            raise self.refusal(os.strerror(error))
        return self.receive(length)


@contextlib.contextmanager
def opened(path, file):
    client = Client(path)
    try:
        size, place = client.size(), 0

        def read(length):
            nonlocal place
            piece = client.read(place, min(length, PIECE_BYTES_MAX))
            place += len(piece)
            return piece

        def read_at(offset, length):
            # A request beyond the end would be answered by an error, as one of no file is.
            if offset + length > size:
                raise Refusal("it reaches beyond the end")
            pieces = bytearray()
            while len(pieces) < length:
                pieces += client.read(offset + len(pieces), min(length - len(pieces), PIECE_BYTES_MAX))
            return bytes(pieces)

        yield size, read, read_at
    finally:
        client.close()


serve(
    "nbdkit",
    CONFIG["version"],
    ["qcow2"],
    opened,
    (Refusal, OSError),
    lacks=[("qcow2", "encrypt.format", "encryption")],
)
