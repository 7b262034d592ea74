#!/bin/sh
# `qemu-img resize --shrink` of a qcow2 cuts the file, and only then writes the tables that no longer name the clusters that were cut off. When that write fails
# (or the process is killed before it), a table names clusters behind the end of the file: `check` finds errors, not leaks alone, and whatever is written
# next may get such a cluster a second time.
# qcow2 specification, Host cluster management: the refcount of a cluster is at least the number of references to it.
# The write is made to fail by qemu's own driver blkdebug.
#
# Exit status: 0 the behaviour is as told, 1 it is not, 2 it could not be tried. Needs qemu-img and qemu-io 10.0 on PATH.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
qemu-img --version | grep -F 'version 10.0.' || exit 2
qemu-img create -q -f qcow2 image.qcow2 1M && qemu-io -f qcow2 -c 'write -q -P 1 64k 64k' image.qcow2 || exit 2
qemu-img check -q image.qcow2 || exit 2
fails=file.driver=blkdebug,file.inject-error.0.event=l2_update,file.inject-error.0.errno=28
qemu-img resize -q --shrink --image-opts "driver=qcow2,$fails,file.image.driver=file,file.image.filename=image.qcow2" 512 2>errors.log
resize=$?
qemu-img check --output=json image.qcow2 >check.json 2>>errors.log
check=$?
cat errors.log
echo "resize exits with $resize, check with $check, $(grep -c '"corruptions": 1' check.json) tells a corruption" | tee seen
diff - seen <<'SEEN'
resize exits with 1, check with 2, 1 tells a corruption
SEEN
