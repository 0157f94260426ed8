# unpacked.sh: peers of the tests that cannot be installed beside each other: Debian's mail servers conflict by package, so
# Exim and OpenSMTPD are unpacked into a folder of the cache and run from there. Their libraries are in packages_test.
# shellcheck shell=bash disable=SC2154  # sourced by ./test and tests/system/run, after packages.sh

# unpack_packages FOLDER PACKAGE...: each package once, into FOLDER/PACKAGE. What cannot be had is left out: its tests are
# skipped and say so.
unpack_packages() {
  local folder=$1 package work
  shift
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return 0
  for package in "$@"; do
    [[ -d $folder/$package ]] && continue
    mkdir -p "$folder"
    work=$(mktemp -d "$folder/.$package.XXXXXX") || return 0
    chmod 755 "$work"
    if (cd "$work" && { apt-get download -qq "$package" || { apt-get update -qq && apt-get download -qq "$package"; }; } &&
      mkdir x && dpkg-deb -x ./*.deb x && chmod 755 x) >/dev/null 2>&1; then
      mv -T "$work/x" "$folder/$package" 2>/dev/null || true
    else
      printf 'No %s: it cannot be downloaded; its tests are skipped.\n' "$package" >&2
    fi
    rm -rf "$work"
  done
}
