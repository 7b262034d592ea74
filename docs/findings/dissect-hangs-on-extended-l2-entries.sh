#!/bin/sh
# dissect.hypervisor goes round for ever in a qcow2 with extended L2 entries of which some subclusters are data and others are not.
# Exits 0 when the defect shows, 1 when it does not. PYTHON names the interpreter that has it.
cd "$(mktemp -d)" || exit 2
trap 'rm -rf "$PWD"' EXIT
qemu-img create -q -f qcow2 -o extended_l2=on a.qcow2 128k || exit 2
qemu-io -f qcow2 -c 'write -q -P 5 2048 2048' a.qcow2 || exit 2
timeout 2 "${PYTHON:-python3}" -c '
from pathlib import Path
from dissect.hypervisor.disk.qcow2 import QCow2
QCow2(Path("a.qcow2")).open().read()'
[ $? -eq 124 ]
