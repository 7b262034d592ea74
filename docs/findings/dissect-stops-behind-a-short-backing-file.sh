#!/bin/sh
# dissect.hypervisor reads too few bytes where a qcow2 overlay is longer than its backing file: what lies behind is shifted, or missing.
# Exits 0 when the defect shows, 1 when it does not. PYTHON names the interpreter that has it.
cd "$(mktemp -d)" || exit 2
trap 'rm -rf "$PWD"' EXIT
qemu-img create -q -f qcow2 base.qcow2 1M || exit 2
qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 a.qcow2 4M || exit 2
qemu-io -f qcow2 -c 'write -q -P 7 3M 64k' a.qcow2 || exit 2
"${PYTHON:-python3}" -c '
import sys
from pathlib import Path
from dissect.hypervisor.disk.qcow2 import QCow2
sys.exit(len(QCow2(Path("a.qcow2")).open().read()) == 4 << 20)'
