#!/bin/sh
# `qemu-img rebase -b ""` copies what an overlay shows of its backing file into it, then writes the header that no longer names the backing file, and only when it
# closes the image the table that says where the copied data are. When that last write fails, it says so, and exits with 0: the overlay has no backing file
# any more, and reads as zeros what it showed of it. A process that is killed between the two writes leaves the same, and `check` finds leaks at most.
# qemu-img(1), rebase: in safe mode what a guest sees stays the same; qcow2 specification, Header, backing_file_offset.
# The write is made to fail by qemu's own driver blkdebug: the first update of the table of the second level allocates it, the second names the data.
#
# Exit status: 0 the behaviour is as told, 1 it is not, 2 it could not be tried. Needs qemu-img and qemu-io 10.0 on PATH.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
qemu-img --version | grep -F 'version 10.0.' || exit 2
qemu-img create -q -f raw base.raw 1M && qemu-io -f raw -c 'write -q -P 7 64k 64k' base.raw || exit 2
qemu-img create -q -f qcow2 -b base.raw -F raw overlay.qcow2 && qemu-io -f qcow2 -c 'read -q -P 7 64k 64k' overlay.qcow2 || exit 2
fails='"set-state":[{"event":"l2_update","state":1,"new_state":2}],"inject-error":[{"event":"l2_update","state":2,"errno":28}]'
qemu-img rebase -b '' "json:{\"driver\":\"qcow2\",\"file\":{\"driver\":\"blkdebug\",\"image\":{\"driver\":\"file\",\"filename\":\"overlay.qcow2\"},$fails}}" 2>errors.log
rebase=$?
cat errors.log
backing=$(qemu-img info overlay.qcow2 | grep -c 'backing file:')
qemu-img check -q overlay.qcow2
check=$?
qemu-io -f qcow2 -c 'read -q -P 0 64k 64k' overlay.qcow2 >read.log 2>&1
zeros=$?
echo "rebase exits with $rebase, check with $check; backing files: $backing; reading zeros where there were data exits with $zeros" | tee seen
diff - seen <<'SEEN'
rebase exits with 0, check with 3; backing files: 0; reading zeros where there were data exits with 0
SEEN
