"""An adapter for imgduel: a reader of raw images, to begin with. Put the calls of your library in place of `read`."""
import json
import os
import sys

FORMATS = ["raw"]


def read(path):
    """The bytes that a guest sees: whole sectors."""
    with open(path, "rb") as image:
        data = image.read()
    return data + bytes(-len(data) % 512)


def answer(asked):
    if "hello" in asked:
        return {"protocol": 2, "name": "mylibrary", "version": "1.0", "can": {"info": FORMATS, "contents": FORMATS}}
    path = os.path.join(asked["directory"], asked["file"]["path"])
    try:
        data = read(path)
    except OSError as why:
        return {"refused": str(why)}
    if asked["request"] == "info":
        return {"json": {"virtual-size": len(data), "format": asked["file"]["format"]}}
    with open(path + ".flat", "wb") as raw:
        raw.write(data)
    return {"raw": asked["file"]["path"] + ".flat"}


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)
