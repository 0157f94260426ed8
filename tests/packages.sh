# packages.sh: the Debian packages that each command needs; ./run takes build and run, ./test takes all.
# shellcheck shell=bash disable=SC2034  # sourced by ./run and ./test

# what compiles behalf (nettle-dev: libunbound's pkg-config file names it)
packages_build=(gcc libc6-dev linux-libc-dev meson ninja-build pkg-config
  libssl-dev libevent-dev libunbound-dev nettle-dev libsqlite3-dev libsodium-dev libjansson-dev libconfuse-dev
  libpsl-dev libidn2-dev libseccomp-dev libmicrohttpd-dev libcurl4-openssl-dev zlib1g-dev scdoc)

# what runs it: the root's keys, the public suffix list; openssl and python3 (Meson brings it) for the world of ./run
packages_run=(ca-certificates dns-root-data publicsuffix openssl python3)

# what ./test checks it with: a second compiler, the checkers, the judges, the clients and the peers
packages_test=(clang libclang-rt-14-dev clang-format clang-tidy shellcheck python3-pyflakes binutils
  libcmocka-dev python3-pytest python3-yaml python3-dnspython
  python3-dkim python3-jsonschema python3-spf python3-authheaders
  swaks libnet-ssleay-perl msmtp curl
  libsasl2-modules libidn12 libgnutls-dane0 libnsl2 libdb5.3 libpam0g
  postfix knot nsd unbound bind9 ldnsutils knot-dnssecutils zonemaster-cli iproute2 procps strace)

# mail servers that dpkg does not let stand beside Postfix: unpacked, not installed (tests/lib/unpacked.sh)
packages_unpacked=(exim4-daemon-light opensmtpd)

# services that come with them and must stay off: they are peers of the tests, not of this machine
packages_services=(postfix knot nsd named unbound unbound-resolvconf msmtpd)
