#!/bin/sh
# A cluster of a qcow2 is set to zero after a snapshot of it was made, and keeps its place in the file, which the snapshot shares. Version 2
# has no zero clusters: `qemu-img amend -o compat=0.10` writes zeros to that place, and with them over what the snapshot holds. It exits with
# 0; a check finds one error afterwards, for the cluster is marked as nobody else's.
# qcow2 specification, Snapshots: a cluster with a refcount over 1 is copied before it is written. Seen with 5.2.0, 7.2.22, 10.0.2, 10.0.13
# and 11.1.3; this script takes 7.2.22.
#
# Exit status: 0 the behaviour is as told, 1 it is not, 2 it could not be tried. Needs Debian 12 (amd64), apt-get and dpkg-deb.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
apt-get download -q 'qemu-utils=1:7.2+dfsg-7+deb12u18+b3' >download.log 2>&1 && dpkg-deb -x qemu-utils_*.deb q || { cat download.log >&2; exit 2; }
PATH=$work/q/usr/bin:$PATH
qemu-img --version | grep -F 'version 7.2.22 ' || exit 2
qemu-img create -q -f qcow2 t.qcow2 1M || exit 2
qemu-io -c 'write -q -P 65 0 64k' t.qcow2 || exit 2
qemu-img snapshot -c first t.qcow2 || exit 2
qemu-io -c 'write -q -z 0 64k' t.qcow2 || exit 2
first_byte() { qemu-img convert -l first -O raw t.qcow2 first.raw && od -An -tx1 -N1 first.raw | tr -d ' '; }
before=$(first_byte)
qemu-img amend -f qcow2 -o compat=0.10 t.qcow2
amended=$?
after=$(first_byte)
qemu-img check t.qcow2 >check.log 2>&1
checked=$?
echo "the snapshot's first byte: $before before, $after after; amend exits with $amended, check with $checked"
[ "$before $after $amended $checked" = '41 00 0 2' ]
