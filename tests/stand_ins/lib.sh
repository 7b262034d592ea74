# Read by the stand-ins. The real tool is the one on PATH.
real() { qemu-img "$@"; }
for last in "$@"; do :; done
flag() { wanted=$1; shift; for word in "$@"; do [ "$word" = "$wanted" ] && return 0; done; return 1; }
# poke FILE OFFSET: turns one byte over, in place
poke() { printf '\377' | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null; }
