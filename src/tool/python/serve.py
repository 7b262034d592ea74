# The adapter protocol for a tool that is a Python module: put in front of that tool's own script, which calls serve().
import contextlib
import json
import os
import sys
import time


class Unsupported(Exception):
    """The image has a feature that the tool says it does not know."""


READ_LIMIT_BYTES = 256 << 20
PIECE_BYTES = 1 << 20


def flatten(size, read, path):
    """Leaves `size` bytes beside the image, sparsely; `read(length)` goes on where it stopped."""
    if size > READ_LIMIT_BYTES:
        raise Unsupported(f"disks above {READ_LIMIT_BYTES} bytes are not read through it")
    with open(path, "wb") as flat:
        left = size
        while left:
            piece = read(min(left, PIECE_BYTES))
            if not piece:
                raise OSError(f"the bytes end {left} before the end of the disk")
            if piece.count(0) == len(piece):
                flat.seek(len(piece), os.SEEK_CUR)
            else:
                flat.write(piece)
            left -= len(piece)
        flat.truncate(size)


def ranges_of(requests):
    """The ranges that a session reads: an offset and the lengths of the buffers. Nothing else is asked of a reader."""
    for request in requests:
        if request["do"] == "together":
            yield from ranges_of(request["requests"])
        else:
            yield request["offset"], request.get("lengths") or [request["length"]]


def read_range(read_at, offset, lengths):
    """What a guest reads into these buffers."""
    pieces = []
    for length in lengths:
        piece = read_at(offset, length) if length else b""
        if len(piece) != length:
            raise EOFError(f"{len(piece)} of {length} bytes at {offset}")
        pieces.append(piece)
        offset += length
    return b"".join(pieces)


def outcomes(requests, read_at, refusals):
    """What came of each request of a session, and the bytes of all reads."""
    told, all_bytes = [], []
    for offset, lengths in ranges_of(requests):
        try:
            piece = read_range(read_at, offset, lengths)
        except refusals + (EOFError, OverflowError) as why:
            told.append({"refused": f"{type(why).__name__}: {why}"})
        else:
            told.append({"read": len(piece)})
            all_bytes.append(piece)
    return told, b"".join(all_bytes)


def serve(name, version, formats, opened, refusals, lacks=(), backing=False):
    """Answers until standard input closes. `opened(path, file)` is a context manager of three: the size, `read(length)`, `read_at(offset, length)`.
    `refusals` are the exceptions with which the tool says no; any other is a crash."""
    for line in sys.stdin:
        asked = json.loads(line)
        if "hello" in asked:
            said = {
                "protocol": 2,
                "name": name,
                "version": version,
                "can": {"info": list(formats), "contents": list(formats), "session": list(formats)},
                "backing": backing,
                "lacks": [dict(zip(("format", "option", "feature"), lack)) for lack in lacks],
            }
        else:
            said = answer(asked, opened, refusals)
        print(json.dumps(said), flush=True)


def answer(asked, opened, refusals):
    file = asked["file"]
    path = os.path.join(asked["directory"], file["path"])
    started = time.process_time_ns()
    try:
        with opened(path, file) as (size, read, read_at):
            if asked["request"] == "info":
                said = {"json": {"virtual-size": size, "format": file["format"]}}
            elif asked["request"] == "session":
                told, piece = outcomes(asked["requests"], read_at, refusals)
                flat = os.path.basename(file["path"]) + ".flat"
                with open(os.path.join(asked["directory"], flat), "wb") as raw:
                    raw.write(piece)
                said = {"json": told, "raw": flat}
            else:
                # The image may lie in a directory of its own.
                flat = os.path.basename(file["path"]) + ".flat"
                flatten(size, read, os.path.join(asked["directory"], flat))
                said = {"raw": flat}
    except Unsupported as feature:
        said = {"unsupported": str(feature)}
    except refusals as why:
        said = {"refused": f"{type(why).__name__}: {why}"}
    except RecursionError as why:
        said = {"panicked": f"{type(why).__name__}: {why}"}
    except MemoryError:
        said = {"panicked": "MemoryError"}
    except Exception as why:
        said = {"panicked": f"{type(why).__name__}: {why}"}
    said["cpu_ns"] = time.process_time_ns() - started
    return said
