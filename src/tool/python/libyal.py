# libyal's libraries, by their Python modules: the one that is named on the command line.
import importlib


def described(library):
    if library == "libqcow":
        return "pyqcow", ["qcow2", "qcow"], "file"
    if library == "libvmdk":
        return "pyvmdk", ["vmdk"], "handle"
    return "pyvhdi", ["vpc", "vhdx"], "file"


library = sys.argv[1]
module_name, formats, opener = described(library)
module = importlib.import_module(module_name)


@contextlib.contextmanager
def opened(path, file):
    image = getattr(module, opener)()
    image.open(path)
    try:
        if library == "libvmdk":
            image.open_extent_data_files()
        image.seek_offset(0, os.SEEK_SET)
        yield image.get_media_size(), image.read_buffer
    finally:
        image.close()


serve(
    library,
    module.get_version(),
    formats,
    opened,
    (OSError, ValueError),
    lacks=[
        ("qcow2", "extended_l2=on", "extended L2 entries"),
        ("qcow2", "compression_type=zstd", "zstd"),
        ("qcow2", "data_file", "external data files"),
        ("qcow2", "encrypt.format", "encryption"),
        ("qcow", "encrypt.format", "encryption"),
    ],
)
