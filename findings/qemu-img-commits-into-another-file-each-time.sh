#!/bin/sh
# The same overlay, committed several times into copies of the same backing file, leaves another file each time: `commit` copies with several requests under
# way, and each takes host clusters when its turn comes. A guest sees the same in all of them. `rebase` and `convert -c` leave the same file each time, so that
# good guesses about `commit` are wrong: the checksum of an image that was committed says nothing about how it was made, and an image build that commits is
# not reproducible. `rebase -c` of 10.0.2 (7.2 has no -c there) differs each time, too, in the order of the compressed clusters.
# Seen with 7.2.22 and 10.0.2; this script takes 7.2.22.
#
# Exit status: 0 the behaviour is as told, 1 it is not, 2 it could not be tried. Needs Debian 12 (amd64), apt-get and dpkg-deb.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
apt-get download -q 'qemu-utils=1:7.2+dfsg-7+deb12u18+b3' >download.log 2>&1 && dpkg-deb -x qemu-utils_*.deb q || { cat download.log >&2; exit 2; }
PATH=$work/q/usr/bin:$PATH
qemu-img --version | grep -F 'version 7.2.22 ' || exit 2
qemu-img create -q -f qcow2 base 16M || exit 2
qemu-io -f qcow2 -c 'write -q -P 7 0 1M' -c 'write -q -P 9 2M 300k' base || exit 2
qemu-img create -q -f qcow2 -b base -F qcow2 top || exit 2
place=3145728
commands=
number=1
while [ $number -le 60 ]; do
    commands="$commands write -q -P $number $place 65536
"
    place=$((place + 196608))
    number=$((number + 1))
done
printf '%s' "$commands" | qemu-io -f qcow2 top >/dev/null || exit 2

# Prints how many different files a command leaves, each time with new copies of both images.
distinct() {
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do
        rm -rf try && mkdir try && cp base top try && (cd try && "$@") || return 2
        shown=$(cd try && qemu-img compare -f qcow2 -F qcow2 result ../top) || { echo "$shown" >&2; return 2; }
        sha256sum <try/result
    done | sort -u | wc -l
}
commit() { qemu-img commit -q -f qcow2 top && mv base result; }
rebase() { qemu-img rebase -f qcow2 -b '' top && mv top result; }
convert_c() { qemu-img convert -c -f qcow2 -O qcow2 top result; }
committed=$(distinct commit)
rebased=$(distinct rebase)
converted=$(distinct convert_c)
echo "different files of 12: commit $committed, rebase $rebased, convert -c $converted"
[ "$committed" -gt 1 ] && [ "$rebased $converted" = '1 1' ]
