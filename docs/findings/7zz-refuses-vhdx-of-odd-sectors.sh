#!/bin/sh
# 7-Zip refuses a vhdx whose disk has an odd number of sectors of 512 bytes.
# Exits 0 when the defect shows, 1 when it does not.
cd "$(mktemp -d)" || exit 2
trap 'rm -rf "$PWD"' EXIT
qemu-img create -q -f vhdx even.vhdx 1049600 && qemu-img create -q -f vhdx odd.vhdx 1049088 || exit 2
7zz l -tvhdx -- even.vhdx >/dev/null 2>&1 || exit 2
! 7zz l -tvhdx -- odd.vhdx >/dev/null 2>&1
