# SPDX-License-Identifier: Apache-2.0
# For tools/quickstart and tools/check (sourced): packages, and words to the user. POSIX sh.

BUILD_PACKAGES="gcc make autoconf automake pkg-config libc6-dev libfuse3-dev fuse3 libcurl4-openssl-dev
    libssl-dev liblmdb-dev libexpat1-dev libjansson-dev zlib1g-dev ca-certificates"
SHOW_PACKAGES="attr curl util-linux"
TEST_PACKAGES="libcmocka-dev clang python3 python3-venv git rsync attr acl pmccabe xz-utils util-linux
    procps file man-db curl systemd-container"
JUDGE_PACKAGES="fio stress-ng sqlite3 git rsync tar"
HANG_PACKAGES="gdb"
CEPH_PACKAGES="radosgw ceph-mon ceph-osd ceph-common"

say()
{
    printf '%s\n' "$*"
}

die()
{
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# SUDO is empty for root, else how to become it.
find_sudo()
{
    SUDO=
    [ "$(id -u)" = 0 ] && return
    command -v sudo > /dev/null || die "this needs root, or sudo: neither is here"
    SUDO="sudo -E"
}

missing_packages()
{
    for p in "$@"; do
        case $(dpkg-query -W -f '${db:Status-Status}' "$p" 2> /dev/null) in
        installed) ;;
        *) printf '%s ' "$p" ;;
        esac
    done
}

# No package shall start a daemon while it is installed. A policy that is there already stays as it is;
# only one that we made is taken away again.
POLICY=/usr/sbin/policy-rc.d
own_policy=
forbid_daemons()
{
    [ -e "$POLICY" ] && return
    printf '#!/bin/sh\nexit 101\n' | $SUDO tee "$POLICY" > /dev/null && own_policy=yes
    $SUDO chmod 755 "$POLICY"
}

allow_daemons()
{
    [ -z "$own_policy" ] || $SUDO rm -f "$POLICY"
    own_policy=
}

# install_packages PACKAGE...: what is missing of them. Fails when apt does.
apt_is_fresh=
install_packages()
{
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    command -v apt-get > /dev/null \
        || die "these packages are missing, and this is no Debian or Ubuntu (no apt-get): $missing"
    say "installing (a minute or two): $missing"
    apt_log=$(mktemp)
    if [ -z "$apt_is_fresh" ]; then
        $SUDO apt-get -q -o Acquire::Retries=3 update > "$apt_log" 2>&1 || cat "$apt_log"
        apt_is_fresh=yes
    fi
    forbid_daemons
    # shellcheck disable=SC2086 # a list of words
    $SUDO env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get -q -y \
        -o Acquire::Retries=3 -o Dpkg::Options::=--force-confold -o DPkg::Lock::Timeout=300 \
        --no-install-recommends install $missing > "$apt_log" 2>&1 < /dev/null
    status=$?
    allow_daemons
    [ "$status" = 0 ] || tail -20 "$apt_log"
    rm -f "$apt_log"
    return "$status"
}

# The build's own compiler jobs.
jobs()
{
    nproc 2> /dev/null || echo 2
}
