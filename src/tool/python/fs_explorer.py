# fs-explorer: of its layers the lowest is used here, the virtual disk in a container, by the driver of the image's format.
import fs_explorer
from fs_explorer.detect import driver_by_name
from fs_explorer.errors import PARSER_ERRORS, FsExplorerError, MissingCodecError, UnsupportedFormatError
from fs_explorer.io.source import open_physical
from fs_explorer.tree import ProbeHint

# It turns these into an error of its own where it opens an image, but not where it reads one.
PARSING = tuple(error for error in PARSER_ERRORS if error not in (RecursionError, MemoryError))


@contextlib.contextmanager
def opened(path, file):
    driver = driver_by_name({"vpc": "vhd"}.get(file["format"], file["format"]))
    try:
        with fs_explorer.Source(path, threads=1) as source:
            bytes_of_file, name = open_physical(path, source.stats)
            disk = driver.open(bytes_of_file, source.ctx, ProbeHint.make(bytes_of_file, name))
            try:
                device, place = disk.device(), 0

                def read(length):
                    nonlocal place
                    piece = device.read_at(place, length)
                    place += len(piece)
                    return piece

                yield device.size, read, device.read_at
            finally:
                disk.close()
    except MissingCodecError as why:
        raise Unsupported(str(why)) from why
    except UnsupportedFormatError as why:
        # A feature that it names, unlike what it finds wrong with an image.
        if "not supported" in str(why):
            raise Unsupported(str(why)) from why
        raise


serve(
    "fs-explorer",
    fs_explorer.__version__,
    ["qcow2", "vmdk", "vpc", "vhdx", "vdi", "dmg"],
    opened,
    (FsExplorerError, OSError) + PARSING,
    lacks=[("qcow2", "encrypt.format", "encryption")],
    backing=True,
)
