#!/bin/sh
# qemu-img creates vhdx images in which neither the block allocation table nor the metadata is marked as a required region.
# Exits 0 when the defect shows, 1 when it does not.
cd "$(mktemp -d)" || exit 2
trap 'rm -rf "$PWD"' EXIT
qemu-img create -q -f vhdx a.vhdx 4M || exit 2
[ "$(head -c 196612 a.vhdx | tail -c 4)" = regi ] || exit 2
required() { od -An -tu4 -j "$1" -N 4 a.vhdx | tr -d ' '; }
[ "$(required $((196608 + 16 + 28)))" = 0 ] && [ "$(required $((196608 + 48 + 28)))" = 0 ]
