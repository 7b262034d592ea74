# The sectors first to first + count - 1 of data of a kind; see fill.rs, whose numbers these are. No quotation mark may be in it.
function step() { state = state * 16807 % 2147483647 }
function start(at) { state = (seed * 7919 + at * 104729 + 1) % 2147483647; if (state == 0) state = 1; step(); step(); step() }
function line(at, text) { text = sprintf("imgduel %04x%04x ", int(seed / 65536), seed % 65536) sprintf("%05x%05x", int(at / 1048576), at % 1048576) "\n"; while (length(text) < 512) text = text text; printf "%s", substr(text, 1, 512) }
function words(text) { text = ""; while (length(text) < 512) { step(); text = text word[int(state / 64) % 32 + 1] (int(state / 64) % 32 == 31 ? "\n" : " ") } printf "%s", substr(text, 1, 512) }
function noise(i, byte) { for (i = 0; i < 512; i++) { if (i % 3 == 0) step(); byte = int(state / (i % 3 == 0 ? 8388608 : i % 3 == 1 ? 32768 : 128)) % 256; printf "%c", byte ? byte : 165 } }
BEGIN {
split("block cluster the image of backing file offset and table guest data to sector snapshot a header refcount in extent bitmap is grain footer for log entry on parent region with map", word, " ");
for (at = first; at < first + count; at++) {
k = kind; if (k == "mixed") { start(int(at / 8) + 1); k = state % 3 == 0 ? "sectors" : state % 3 == 1 ? "text" : "noise" }
start(at); if (k == "sectors") line(at); else if (k == "text") words(); else noise() } }
