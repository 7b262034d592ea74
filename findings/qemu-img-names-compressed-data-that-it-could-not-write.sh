#!/bin/sh
# `qemu-img rebase -c -b ""` copies what an overlay shows of its backing file into it, compressed. When there is no room for the compressed data it says so,
# exits with 1 and leaves the overlay on its backing file, but the table already names the data that are not there: the cluster cannot be read any more,
# and `check` finds nothing wrong. Without -c, the same failure leaves the overlay as it was.
# qemu-img(1), rebase: in safe mode what a guest sees stays the same.
# The room is that of a limit on the length of files (ulimit -f), which is that of the overlay before.
#
# Exit status: 0 the behaviour is as told, 1 it is not, 2 it could not be tried. Needs qemu-img and qemu-io 10.0 on PATH.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
qemu-img --version | grep -F 'version 10.0.' || exit 2
qemu-img create -q -f raw base.raw 1M && qemu-io -f raw -c 'write -q -P 7 64k 64k' base.raw || exit 2
qemu-img create -q -f qcow2 -b base.raw -F raw before.qcow2 && qemu-io -f qcow2 -c 'write -q -P 1 0 64k' before.qcow2 || exit 2
# rebased NAME FLAG...: a copy, rebased with no room to grow.
rebased() {
  name=$1; shift
  cp before.qcow2 "$name"
  (trap '' XFSZ; ulimit -f "$(($(wc -c <before.qcow2) / 512))" && qemu-img rebase "$@" -b '' "$name")
  rebase=$?
  qemu-img check -q "$name"
  check=$?
  qemu-io -f qcow2 -c 'read -q -P 7 64k 64k' "$name" >read.log 2>&1
  echo "$name: rebase exits with $rebase, check with $check, reading with $?"
}
{ rebased plain.qcow2; rebased compressed.qcow2 -c; } 2>errors.log >seen
cat errors.log seen
diff - seen <<'SEEN'
plain.qcow2: rebase exits with 1, check with 0, reading with 0
compressed.qcow2: rebase exits with 1, check with 0, reading with 1
SEEN
