# dissect.hypervisor: Fox-IT's readers of virtual disks.
from importlib.metadata import version
from pathlib import Path

from dissect.hypervisor.disk import qcow2, vdi, vhd, vhdx, vmdk
from dissect.hypervisor.exceptions import Error


@contextlib.contextmanager
def opened(path, file):
    try:
        with disk_of(path, file) as disk:
            yield disk
    except RuntimeError as why:
        # A decompressor that is another module, and not here.
        if "module not available" in str(why):
            raise Unsupported(str(why)) from why
        raise


def reader_of(stream):
    def read_at(offset, length):
        stream.seek(offset)
        return stream.read(length)

    return read_at


@contextlib.contextmanager
def disk_of(path, file):
    format = file["format"]
    with contextlib.ExitStack() as stack:
        if format == "qcow2":
            disk = qcow2.QCow2(Path(path))
            stream = disk.open()
            yield disk.size, stream.read, reader_of(stream)
        elif format == "vmdk":
            disk = vmdk.VMDK(Path(path))
            yield disk.size, disk.read, reader_of(disk)
        elif format == "vpc":
            disk = vhd.VHD(stack.enter_context(open(path, "rb")))
            yield disk.size, disk.read, reader_of(disk)
        elif format == "vhdx":
            disk = vhdx.VHDX(Path(path))
            yield disk.size, disk.read, reader_of(disk)
        else:
            disk = vdi.VDI(Path(path))
            stream = disk.open()
            yield disk.size, stream.read, reader_of(stream)


serve(
    "dissect.hypervisor",
    version("dissect.hypervisor"),
    ["qcow2", "vmdk", "vpc", "vhdx", "vdi"],
    opened,
    (Error, NotImplementedError, ValueError, EOFError, OSError),
    lacks=[("qcow2", "encrypt.format", "encryption")],
    backing=True,
)
