#!/bin/sh
# qemu-img map aborts on an encrypted qcow2 with 2 GiB that were never written.
# Exits 0 when the defect shows, 1 when it does not.
cd "$(mktemp -d)" || exit 2
trap 'rm -rf "$PWD"' EXIT
key='--object secret,id=s,data=x'
qemu-img create -q $key -f qcow2 -o encrypt.format=aes,encrypt.key-secret=s,cluster_size=1M e.qcow2 2G 2>/dev/null
qemu-img map $key --image-opts driver=qcow2,file.filename=e.qcow2,encrypt.key-secret=s >/dev/null 2>&1
[ $? -ge 128 ]
