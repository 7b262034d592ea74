#!/usr/bin/env python3
"""An adapter for imgduel: reads raw and plain qcow2. It is spoken to in JSON, one object a line, and answers so."""
import json
import os
import struct
import sys

OFFSET = 0x00FFFFFFFFFFFE00  # the host offset in an L1 or L2 entry


def read(path, format):
    """The guest-visible size, and (offset, bytes) of what is not known to be zero."""
    with open(path, "rb") as image:
        if format == "raw":
            data = image.read()
            return len(data), [(0, data)]
        magic, version, backing, _, bits, size, encrypted, entries, offset = struct.unpack(">4sIQIIQIIQ", image.read(48))
        if magic != b"QFI\xfb":
            raise ValueError("not a qcow2")
        if backing or encrypted or version > 3:
            raise NotImplementedError("backing files, encryption, versions above 3")
        cluster, pieces = 1 << bits, []

        def table(offset, entries):
            image.seek(offset)
            return struct.unpack(f">{entries}Q", image.read(8 * entries))
        for index, l1_entry in enumerate(table(offset, entries)):
            for place, entry in enumerate(table(l1_entry & OFFSET, cluster // 8) if l1_entry & OFFSET else ()):
                if entry & 1 << 62:
                    raise NotImplementedError("compressed clusters")
                if entry & OFFSET and not entry & 1:
                    image.seek(entry & OFFSET)
                    pieces.append(((index * (cluster // 8) + place) * cluster, image.read(cluster)))
        return size, pieces


def answer(asked):
    if "hello" in asked:
        can = {"info": ["raw", "qcow2"], "contents": ["raw", "qcow2"]}
        lacks = [{"format": "qcow2", "option": name, "feature": name} for name in ("extended_l2=on", "data_file", "encrypt.format")]
        return {"protocol": 2, "name": "reader.py", "version": "1.0", "can": can, "lacks": lacks}
    path = os.path.join(asked["directory"], asked["file"]["path"])
    try:
        size, pieces = read(path, asked["file"]["format"])
    except NotImplementedError as feature:
        return {"unsupported": str(feature)}
    except (OSError, ValueError, struct.error) as why:
        return {"refused": str(why)}
    if asked["request"] == "info":
        return {"json": {"virtual-size": size, "format": asked["file"]["format"]}}
    with open(path + ".flat", "wb") as raw:
        for offset, data in pieces:
            raw.seek(offset)
            raw.write(data)
        raw.truncate(size)
    return {"raw": asked["file"]["path"] + ".flat"}


for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)
