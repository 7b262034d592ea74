#!/bin/sh
# The name of a backing file is relative to the image that tells it. The name of an external data file is not: qemu-img 10.0 takes it relative to the directory
# that it is started in, when it makes an image and when it reads one. Started elsewhere it does not find the data, though they lie beside the image.
# qcow2 specification, Header extensions, External data file name string: it does not say what a name is relative to. qemu-img(1), create, data_file.
# imago 0.2.6 takes it relative to the image.
#
# Exit status: 0 the behaviour is as told, 1 it is not, 2 it could not be tried. Needs qemu-img and qemu-io 10.0 on PATH.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
qemu-img --version | grep -F 'version 10.0.' || exit 2
mkdir disks
(cd disks && qemu-img create -q -f qcow2 -o data_file=data.raw image.qcow2 1M && qemu-io -f qcow2 -c 'write -q -P 7 0 64k' image.qcow2) || exit 2
{
  (cd disks && qemu-io -r -f qcow2 -c 'read -q -P 7 0 64k' image.qcow2 >/dev/null 2>&1)
  echo "beside the image: reading exits with $?"
  qemu-io -r -f qcow2 -c 'read -q -P 7 0 64k' disks/image.qcow2 >/dev/null 2>&1
  echo "one directory above: reading exits with $?"
  qemu-img create -q -f qcow2 -o data_file=other.raw disks/other.qcow2 1M >/dev/null 2>&1
  echo "made from one directory above, the data file lies in $(find . -name other.raw)"
} >seen
cat seen
diff - seen <<'SEEN'
beside the image: reading exits with 0
one directory above: reading exits with 1
made from one directory above, the data file lies in ./other.raw
SEEN
