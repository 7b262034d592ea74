#!/bin/sh
# dissect.hypervisor takes what lies behind the header of a qcow2 of version 2, here the name of a backing file's format, for feature
# bits, which only version 3 has, and looks for an external data file.
# Exits 0 when the defect shows, 1 when it does not. PYTHON names the interpreter that has it.
cd "$(mktemp -d)" || exit 2
trap 'rm -rf "$PWD"' EXIT
qemu-img create -q -f qcow2 base.qcow2 128k || exit 2
qemu-img create -q -f qcow2 -o compat=0.10 -b base.qcow2 -F qcow2 a.qcow2 || exit 2
"${PYTHON:-python3}" -c '
import sys
from pathlib import Path
from dissect.hypervisor.disk.qcow2 import QCow2
try:
    QCow2(Path("a.qcow2"))
except Exception:
    sys.exit(0)
sys.exit(1)'
