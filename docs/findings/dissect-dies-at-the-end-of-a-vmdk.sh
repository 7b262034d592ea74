#!/bin/sh
# dissect.hypervisor cannot read a vmdk to its end when its size is no multiple of 8 KiB: IndexError in VMDK.read_sectors.
# Exits 0 when the defect shows, 1 when it does not. PYTHON names the interpreter that has it.
cd "$(mktemp -d)" || exit 2
trap 'rm -rf "$PWD"' EXIT
qemu-img create -q -f vmdk a.vmdk 131584 || exit 2
"${PYTHON:-python3}" -c '
import sys
from pathlib import Path
from dissect.hypervisor.disk.vmdk import VMDK
try:
    VMDK(Path("a.vmdk")).read()
except IndexError:
    sys.exit(0)
sys.exit(1)'
