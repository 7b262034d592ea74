#!/bin/sh
# qemu-img does not open a vhdx whose headers tell of another version of the log than 0, although it has no log (LogGuid is zero).
# Exits 0 when the defect shows, 1 when it does not. Needs python3, for the checksum.
cd "$(mktemp -d)" || exit 2
trap 'rm -rf "$PWD"' EXIT
qemu-img create -q -f vhdx a.vhdx 4M || exit 2
python3 -c '
with open("a.vhdx", "r+b") as image:
    for place in (65536, 131072):
        image.seek(place)
        header = bytearray(image.read(4096))
        if any(header[48:64]):
            raise SystemExit(2)
        header[64:66] = (1).to_bytes(2, "little")
        header[4:8] = bytes(4)
        sum = 0xffffffff
        for byte in header:
            sum ^= byte
            for _ in range(8):
                sum = sum >> 1 ^ (0x82f63b78 if sum & 1 else 0)
        header[4:8] = (sum ^ 0xffffffff).to_bytes(4, "little")
        image.seek(place)
        image.write(header)' || exit 2
! qemu-img info -f vhdx a.vhdx >/dev/null 2>&1
