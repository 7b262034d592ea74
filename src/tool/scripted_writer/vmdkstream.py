# VMDKstream: makes a streamOptimized vmdk of a raw file.
import sys
from importlib.metadata import version

import VMDKstream

if sys.argv[1] == "version":
    print(version("VMDKstream"))
else:
    try:
        VMDKstream.convert_to_stream(sys.argv[2], sys.argv[3])
    except Exception as why:
        sys.exit(f"{type(why).__name__}: {why}")
