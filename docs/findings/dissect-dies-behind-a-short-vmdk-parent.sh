#!/bin/sh
# dissect.hypervisor dies of an AssertionError where a vmdk is longer than its parent.
# Exits 0 when the defect shows, 1 when it does not. PYTHON names the interpreter that has it.
cd "$(mktemp -d)" || exit 2
trap 'rm -rf "$PWD"' EXIT
qemu-img create -q -f vmdk base.vmdk 1M || exit 2
qemu-img create -q -f vmdk -b base.vmdk -F vmdk a.vmdk 32M || exit 2
"${PYTHON:-python3}" -c '
import sys
from pathlib import Path
from dissect.hypervisor.disk.vmdk import VMDK
try:
    VMDK(Path("a.vmdk")).read()
except (AssertionError, IndexError):
    sys.exit(0)
sys.exit(1)'
