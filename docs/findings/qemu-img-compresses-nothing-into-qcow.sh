#!/bin/sh
# A compressed conversion to qcow fails with exit code 1 and without a word.
# Exits 0 when the defect shows, 1 when it does not.
cd "$(mktemp -d)" || exit 2
trap 'rm -rf "$PWD"' EXIT
qemu-img create -q -f raw a.raw 1M
said=$(qemu-img convert -O qcow -c a.raw a.qcow 2>&1)
[ $? -eq 1 ] && [ -z "$said" ]
