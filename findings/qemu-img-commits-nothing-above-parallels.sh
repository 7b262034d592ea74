#!/bin/sh
# top.qcow2 lies on middle.qcow2, and that on an image in parallels. A commit writes to middle.qcow2 alone, and only reads what lies below;
# qemu-img refuses it all the same, because it opens the whole chain anew and its driver of parallels cannot be opened anew.
# qemu-img(1), commit: the changes go into the backing file. Seen with 7.2.22, 10.0.2 and 11.1.3; this script takes 7.2.22.
#
# Exit status: 0 the behaviour is as told, 1 it is not, 2 it could not be tried. Needs Debian 12 (amd64), apt-get and dpkg-deb.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
apt-get download -q 'qemu-utils=1:7.2+dfsg-7+deb12u18+b3' >download.log 2>&1 && dpkg-deb -x qemu-utils_*.deb q || { cat download.log >&2; exit 2; }
PATH=$work/q/usr/bin:$PATH
qemu-img --version | grep -F 'version 7.2.22 ' || exit 2
qemu-img create -q -f parallels base.hds 1M || exit 2
qemu-img create -q -f qcow2 -b base.hds -F parallels middle.qcow2 || exit 2
qemu-img create -q -f qcow2 -b middle.qcow2 -F qcow2 top.qcow2 || exit 2
qemu-io -c 'write -q -P 65 0 4k' top.qcow2 || exit 2
qemu-img commit -q top.qcow2 2>said
status=$?
cat said
[ $status -eq 1 ] && grep -q "Block format 'parallels' .* does not support reopening files" said
