# pyvhd: makes a dynamic vhd, as Xen's, of a raw file.
import sys
from importlib.metadata import version

import pyvhd

if sys.argv[1] == "version":
    print(version("pyvhd"))
else:
    try:
        with open(sys.argv[2], "rb") as raw, open(sys.argv[3], "wb") as image:
            pyvhd.do_vhd_convert(raw, image)
    except Exception as why:
        sys.exit(f"{type(why).__name__}: {why}")
