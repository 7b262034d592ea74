#!/bin/sh
# An image is enlarged with --preallocation=falloc. What does a guest see behind the old end? qemu-img 10.0 takes clusters for it that were freed before, of a
# bitmap that was removed here, and does not zero them: the guest reads what the bitmap left there.
# qemu-img(1), resize: `falloc` preallocates space for the new area; nothing says that it holds old data, and without the option it reads as zeros.
#
# Exit status: 0 the behaviour is as told, 1 it is not, 2 it could not be tried. Needs qemu-img and qemu-io 10.0 on PATH.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
qemu-img --version | grep -F 'version 10.0.' || exit 2
for preallocation in off falloc; do
  qemu-img create -q -f qcow2 -o cluster_size=4096 a.qcow2 4096 || exit 2
  qemu-io -f qcow2 -c 'write -P 50 0 4096' a.qcow2 >/dev/null || exit 2
  qemu-img bitmap --add a.qcow2 one && qemu-img bitmap --remove a.qcow2 one || exit 2
  qemu-img resize -q -f qcow2 --preallocation "$preallocation" a.qcow2 16384 || exit 2
  qemu-img convert -f qcow2 -O raw a.qcow2 a.raw || exit 2
  case $(tail -c +4097 a.raw | tr -d '\0' | wc -c) in
    0) echo "$preallocation: zeros" ;;
    *) echo "$preallocation: old data" ;;
  esac
done >seen
cat seen
diff - seen <<'SEEN'
off: zeros
falloc: old data
SEEN
