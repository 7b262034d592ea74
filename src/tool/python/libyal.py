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


def open_chain(path, file, images):
    """Opens an image and, as its parent, the one below it, which is of a format of the same library."""
    below = file.get("backing")
    if below and below["format"] not in formats:
        raise Unsupported(f"parents in {below['format']}")
    image = getattr(module, opener)()
    image.open(path)
    images.append(image)
    if library == "libvmdk":
        image.open_extent_data_files()
    if below:
        directory = path[: len(path) - len(file["path"])]
        image.set_parent(open_chain(os.path.join(directory, below["path"]), below, images))
    return image


@contextlib.contextmanager
def opened(path, file):
    images = []
    try:
        image = open_chain(path, file, images)
        image.seek_offset(0, os.SEEK_SET)

        def read_at(offset, length):
            return image.read_buffer_at_offset(length, offset)

        yield image.get_media_size(), image.read_buffer, read_at
    finally:
        # A parent is closed after those that lie on it.
        for image in images:
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
    backing=True,
)
