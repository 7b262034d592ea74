#!/bin/sh
# A qcow2 of one byte repeated, compressed: qemu-img packs many compressed clusters into one host cluster, and each counts as a reference to it.
# So the refcounts are high although there is no snapshot, and `amend -o refcount_bits=4` is refused, while the same contents uncompressed are
# amended. Whoever takes refcounts above 1 for a sign of snapshots is wrong here.
# qcow2 specification, Compressed Clusters Descriptor: several compressed clusters may lie in one host cluster. Seen with 7.2.22 and 10.0.2; this
# script takes 7.2.22.
#
# Exit status: 0 the behaviour is as told, 1 it is not, 2 it could not be tried. Needs Debian 12 (amd64), apt-get and dpkg-deb.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
apt-get download -q 'qemu-utils=1:7.2+dfsg-7+deb12u18+b3' >download.log 2>&1 && dpkg-deb -x qemu-utils_*.deb q || { cat download.log >&2; exit 2; }
PATH=$work/q/usr/bin:$PATH
qemu-img --version | grep -F 'version 7.2.22 ' || exit 2
qemu-img create -q -f raw source.raw 4M || exit 2
qemu-io -f raw -c 'write -q -P 65 0 4M' source.raw || exit 2
qemu-img convert -O qcow2 source.raw plain.qcow2 || exit 2
qemu-img convert -c -O qcow2 source.raw compressed.qcow2 || exit 2
qemu-img check -q compressed.qcow2 || exit 2
qemu-img amend -f qcow2 -o refcount_bits=4 plain.qcow2
plain=$?
qemu-img amend -f qcow2 -o refcount_bits=4 compressed.qcow2 2>said
compressed=$?
cat said
echo "amend exits with $plain for the plain image, with $compressed for the compressed one"
[ "$plain $compressed" = '0 1' ] && grep -q 'Cannot decrease refcount entry width to 4 bits' said
