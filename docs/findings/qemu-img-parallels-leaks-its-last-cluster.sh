#!/bin/sh
# A parallels image leaks a cluster when its last one is unmapped.
# Exits 0 when the defect shows, 1 when it does not.
cd "$(mktemp -d)" || exit 2
trap 'rm -rf "$PWD"' EXIT
qemu-img create -q -f parallels p.hds 1049088
qemu-io -f parallels -c 'write -z -u 0 1' -c 'write -z -u 0 1M' p.hds >/dev/null
qemu-img check -f parallels p.hds >/dev/null 2>&1
[ $? -eq 3 ]
