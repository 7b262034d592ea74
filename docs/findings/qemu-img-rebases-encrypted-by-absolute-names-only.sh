#!/bin/sh
# An encrypted overlay cannot be rebased onto a relative name in safe mode, though it lies beside its backing file; with -u it can, and onto
# an absolute name too: qemu-img takes the options that open the overlay for its name.
# Exits 0 when the defect shows, 1 when it does not.
cd "$(mktemp -d)" || exit 2
trap 'rm -rf "$PWD"' EXIT
key='--object secret,id=s,data=x'
image='driver=qcow2,file.filename=a.qcow2,encrypt.key-secret=s'
qemu-img create -q -f raw base.raw 1M
qemu-img create -q $key -f qcow2 -o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10 -b base.raw -F raw a.qcow2
qemu-img rebase $key -u --image-opts -b base.raw -F raw "$image" || exit 1
qemu-img rebase $key --image-opts -b "$PWD/base.raw" -F raw "$image" || exit 1
qemu-img rebase $key --image-opts -b base.raw -F raw "$image" 2>&1 | grep -q 'Cannot use relative backing file names'
