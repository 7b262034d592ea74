#!/usr/bin/env bash
# Unpacks a Debian package of any suite, with everything it depends on, into a directory beside the system, and makes its
# programs run from there: nothing is installed, and no other program of the machine sees any of it.
#
#   contrib/unpack-debian.sh PACKAGE[=VERSION] SUITE DIR
#
# The programs are then DIR/bin/NAME. A package of the suites SUITE, SUITE-updates, SUITE-security and SUITE-backports is found,
# the last of these only by its VERSION. The mirror is the one that this machine has its own Debian packages from.
#
#   MIRROR=URL       another mirror, as a dated one of a snapshot service, whose `dists/` has SUITE
#   COMPONENTS=...   `main` unless given, as in COMPONENTS='main contrib'
#
# With patchelf, programs are made to start the unpacked dynamic loader themselves, and are then forked by imgduel as any other;
# without it, DIR/bin/NAME is a script that calls the loader, which works too, but costs a start for every call.
set -euo pipefail

fail() { printf 'unpack-debian.sh: %s\n' "$*" >&2; exit 2; }
[ $# = 3 ] || fail "write: $0 PACKAGE[=VERSION] SUITE DIR"
package=$1 suite=$2
for program in apt-get apt-cache dpkg-deb; do
  command -v "$program" >/dev/null || fail "$program is not here: this works on Debian and what is made of it"
done
[ ! -e "$3" ] || [ -z "$(ls -A "$3")" ] || fail "$3 is there and is not empty: name a new directory"
mkdir -p "$3"
directory=$(cd "$3" && pwd)
state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT

# Where this machine has packages of Debian from: those of its sources whose release says so, or, where none was fetched yet, whose
# address does.
own_mirrors() {
  apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' 'Identifier: Packages' | sort -u |
    awk '$1 == "Debian" || $NF ~ /\/debian\/?$/ || $NF ~ /\/debian-security\/?$/ { print $NF }' | sort -u
}
mirrors=${MIRROR:-$(own_mirrors)}
[ -n "$mirrors" ] || fail "no source of Debian packages is known to apt-get here: name one, as MIRROR=URL"

# A private apt: own lists, own cache, nothing installed.
mkdir -p "$state"/{lists/partial,archives/partial,sources,preferences}
: >"$state/status"
options=(
  -o "Dir::State=$state" -o "Dir::State::lists=$state/lists" -o "Dir::State::status=$state/status"
  -o "Dir::Cache=$state" -o "Dir::Cache::archives=$state/archives"
  -o "Dir::Etc::SourceList=$state/sources/list" -o Dir::Etc::SourceParts=/dev/null
  -o Dir::Etc::PreferencesParts=/dev/null -o Dir::Etc::Preferences=/dev/null
  -o APT::Install-Recommends=false -o APT::Sandbox::User=root -o Debug::NoLocking=true
  # What an old suite says of itself was true at its time; it is signed all the same.
  -o Acquire::Check-Valid-Until=false
)
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -r "$keyring" ] || fail "$keyring is not here (apt-get install debian-archive-keyring)"
found=
for mirror in $mirrors; do
  for name in "$suite" "$suite-updates" "$suite-security" "$suite-backports"; do
    if /usr/lib/apt/apt-helper -o APT::Sandbox::User=root download-file "${mirror%/}/dists/$name/InRelease" "$state/release" >/dev/null 2>&1; then
      printf 'deb [signed-by=%s] %s %s %s\n' "$keyring" "$mirror" "$name" "${COMPONENTS:-main}" >>"$state/sources/list"
      [ "$name" != "$suite" ] || found=yes
    fi
  done
done
[ -n "$found" ] || fail "no mirror of this machine has a suite '$suite' (they are: $(echo $mirrors)): name one that has it, as MIRROR=URL"
apt-get "${options[@]}" -qq update
if ! apt-get "${options[@]}" -qq -y --download-only install "$package" >"$state/said" 2>&1; then
  has=$(apt-cache "${options[@]}" madison "${package%%=*}" | awk -F ' *[|] *' '{ print $2 }' | sort -u | tr '\n' ' ')
  fail "$package of $suite cannot be had (it has: ${has:-none}): $(grep -m1 '^E: ' "$state/said" || tail -n1 "$state/said")"
fi

# What only says how a system is laid out is none of the package's files.
for archive in "$state"/archives/*.deb; do
  case ${archive##*/} in base-files_* | usr-is-merged_* | usrmerge_*) continue ;; esac
  dpkg-deb --fsys-tarfile "$archive" | tar -x -C "$directory" --keep-directory-symlink
done
wanted=("$state/archives/${package%%=*}"_*.deb)
version=$(dpkg-deb --field "${wanted[0]}" Version)

# The loader, and where the libraries lie. Newer suites have no /lib but a link to /usr/lib.
roots=("$directory/usr/lib")
[ ! -d "$directory/lib" ] || roots+=("$directory/lib")
mapfile -t loaders < <(find "${roots[@]}" -maxdepth 2 \( -name 'ld-linux*.so.*' -o -name 'ld[0-9]*.so.*' \) | sort)
[ ${#loaders[@]} -gt 0 ] || fail "no dynamic loader was unpacked into $directory"
loader=${loaders[0]}
libraries=$(find "${roots[@]}" -maxdepth 2 -name 'lib*.so*' -printf '%h\n' | sort -u | paste -sd :)

# A library that says itself where its own lie is not helped by what the program says.
if command -v patchelf >/dev/null; then
  while read -r -d '' library; do
    told=$(patchelf --print-rpath "$library" 2>/dev/null) && [ -n "$told" ] || continue
    patchelf --force-rpath --set-rpath "$libraries" "$library"
  done < <(find "${roots[@]}" -type f -name '*.so*' -print0)
fi

mkdir -p "$directory/bin.new"
programs=()
while read -r path; do
  name=${path##*/}
  file=$directory/${path#./}
  # Links within the package may be absolute.
  target=$(readlink "$file" || true)
  case $target in /*) file=$directory$target ;; esac
  [ -x "$file" ] && [ "$(head -c 4 "$file" | tail -c 3)" = ELF ] || continue
  case $name in *.so | *.so.*) continue ;; esac
  if command -v patchelf >/dev/null; then
    patchelf --set-interpreter "$loader" --force-rpath --set-rpath "$libraries" "$file"
    ln -sf "$file" "$directory/bin.new/$name"
  else
    printf '#!/bin/sh\nexec "%s" --library-path "%s" "%s" "$@"\n' "$loader" "$libraries" "$file" >"$directory/bin.new/$name"
    chmod +x "$directory/bin.new/$name"
  fi
  programs+=("$directory/bin/$name")
done < <(dpkg-deb --contents "${wanted[0]}" | awk '{ print $6 }' | grep -E '^\./usr/(s?bin|lib/[^/]+)/[^/]+$')
[ ${#programs[@]} -gt 0 ] || fail "$package has no programs"
# Its own /bin, where it had one, is not what a person looks for.
if [ -e "$directory/bin" ]; then mv "$directory/bin" "$directory/bin.unpacked"; fi
mv "$directory/bin.new" "$directory/bin"
printf '%s %s:\n' "${package%%=*}" "$version"
printf '  %s\n' "${programs[@]}"
