# apt.sh: installs what is missing, politely: asks when not root, starts and enables no service.
# shellcheck shell=bash disable=SC2154  # sourced by ./run and ./test, after packages.sh

apt_missing() { # apt_missing PACKAGE...: prints those that are not installed
  local package
  for package in "$@"; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || printf '%s\n' "$package"
  done
}

# Everything that must happen as root, as a program of its own so that sudo can run it. A package's own scripts ask
# policy-rc.d before they start a service; a service that a package has just brought is switched off again.
apt_install_program='
set -e
services=$1; shift
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  printf "#!/bin/sh\nexit 101\n" >$policy && chmod 755 $policy
  trap "rm -f $policy" EXIT
  trap "exit 130" INT TERM HUP
fi
export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
before=" "
for s in $services; do
  if [ -e /lib/systemd/system/$s.service ] || [ -e /etc/init.d/$s ]; then before="$before$s "; fi
done
log=$(mktemp)
if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 "$@"; } >"$log" 2>&1; then
  tail -n 40 "$log" >&2
  rm -f "$log"
  exit 1
fi
rm -f "$log"
for s in $services; do
  case $before in *" $s "*) continue ;; esac
  if [ -e /lib/systemd/system/$s.service ] && command -v systemctl >/dev/null; then
    systemctl disable --quiet $s.service 2>/dev/null || true
  fi
  if [ -e /etc/init.d/$s ] && command -v update-rc.d >/dev/null; then update-rc.d $s disable 2>/dev/null || true; fi
done
'

apt_need() { # apt_need PACKAGE...: installs the missing ones or says how; fails when they stay missing
  local missing answer
  command -v apt-get >/dev/null || return 0 # not a Debian: the build says what it does not find
  mapfile -t missing < <(apt_missing "$@")
  ((${#missing[@]})) || return 0
  printf 'Installing %d Debian packages: %s\n' "${#missing[@]}" "${missing[*]}"
  if ((EUID == 0)); then
    sh -c "$apt_install_program" apt-install "${packages_services[*]}" "${missing[@]}"
    return
  fi
  if [[ -t 0 ]] && command -v sudo >/dev/null; then
    read -r -p 'May sudo apt-get install them (no service will be started)? [y/N] ' answer
    if [[ $answer == [yY]* ]]; then
      sudo sh -c "$apt_install_program" apt-install "${packages_services[*]}" "${missing[@]}"
      return
    fi
  fi
  printf 'Please install them first:\n  apt-get install --no-install-recommends %s\n' "${missing[*]}" >&2
  return 1
}
