#!/bin/sh
# qemu-img makes a fixed vhdx whose file ends within its last block: the block is marked as fully present, and is not all there.
# Exits 0 when the defect shows, 1 when it does not.
cd "$(mktemp -d)" || exit 2
trap 'rm -rf "$PWD"' EXIT
qemu-img create -q -f vhdx -o subformat=fixed,block_size=8M,block_state_zero=off a.vhdx 1M || exit 2
# number OFFSET: the 8 bytes there, little-endian.
number() { od -An -tu8 -j "$1" -N 8 a.vhdx | tr -d ' '; }
# The region table is at 192 KiB, its first entry that of the block allocation table.
entry=$(number "$(number $((192 * 1024 + 16 + 16)))")
[ $((entry & 7)) = 6 ] || exit 2
end=$(((entry >> 20 << 20) + (8 << 20)))
[ "$(wc -c <a.vhdx)" -lt "$end" ]
