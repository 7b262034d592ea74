#!/bin/sh
# An encrypted qcow2 is named by options (`--image-opts`), because its key goes with them. Rebased in safe mode onto a relative name it is
# refused, though it lies beside its backing file: the options that open it are taken for its name. With -u, and onto an absolute name, it works.
# qemu-img(1), rebase: a relative backing_file is relative to the image. Seen with 5.2.0, 7.2.22, 10.0.2 and 11.1.3; this script takes 7.2.22.
#
# Exit status: 0 the behaviour is as told, 1 it is not, 2 it could not be tried. Needs Debian 12 (amd64), apt-get and dpkg-deb.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
apt-get download -q 'qemu-utils=1:7.2+dfsg-7+deb12u18+b3' >download.log 2>&1 && dpkg-deb -x qemu-utils_*.deb q || { cat download.log >&2; exit 2; }
PATH=$work/q/usr/bin:$PATH
qemu-img --version | grep -F 'version 7.2.22 ' || exit 2
key='--object secret,id=s,data=x'
image='driver=qcow2,file.filename=a.qcow2,encrypt.key-secret=s'
qemu-img create -q -f raw base.raw 1M || exit 2
# shellcheck disable=SC2086
{
  qemu-img create -q $key -f qcow2 -o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10 -b base.raw -F raw a.qcow2 || exit 2
  qemu-img rebase $key -u --image-opts -b base.raw -F raw "$image" || exit 1
  qemu-img rebase $key --image-opts -b "$PWD/base.raw" -F raw "$image" || exit 1
  qemu-img rebase $key --image-opts -b base.raw -F raw "$image" 2>said
}
status=$?
cat said
[ $status -eq 1 ] && grep -q 'Cannot use relative backing file names' said
