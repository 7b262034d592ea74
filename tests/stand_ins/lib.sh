# Read by the stand-ins. The real tool is the one on PATH.
real() { qemu-img "$@"; }
for last in "$@"; do :; done
flag() { wanted=$1; shift; for word in "$@"; do [ "$word" = "$wanted" ] && return 0; done; return 1; }
# poke FILE OFFSET: turns one byte over, in place
poke() { printf '\377' | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null; }
# field FILE OFFSET LENGTH: the big-endian number there, of 1, 2, 4 or 8 bytes
field() { od -An -v --endian=big -tu"$3" -j"$2" -N"$3" "$1" | tr -d ' '; }
# image: the file of a snapshot's command line
image() { file=${last#*file.filename=}; echo "${file%%,*}"; }
# snapshots FILE, refcounts FILE: where its snapshot table and its first refcount block begin
snapshots() { field "$1" 64 8; }
refcounts() { field "$1" "$(field "$1" 48 8)" 8; }
