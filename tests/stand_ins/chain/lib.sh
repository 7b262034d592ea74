# Read by the stand-ins of this folder, each a directory with a qemu-img and a qemu-io. The real tools are those on PATH.
real() { qemu-img "$@"; }
real_io() { qemu-io "$@"; }
for last in "$@"; do :; done
words="$*"
# says WORDS: whether the command line has these words in it
says() { case "$words" in *"$1"*) return 0 ;; esac; return 1; }
# size FILE: its virtual size in bytes
size() { real info --output=json "$1" | sed -n 's/^    "virtual-size": \([0-9]*\),/\1/p'; }
# scribble FILE BYTE OFFSET LENGTH: writes guest data that nobody asked for
scribble() { qemu-io -f "${1##*.}" -c "write -q -P $2 $3 $4" "$1" >/dev/null; }
