# What the scripts that test in a Debian root of another release or architecture have in common; sourced by them from the
# project's folder. They set:
#   root      the folder of the root, under build/, which is used again
#   suite     its release, such as trixie
#   arch      its architecture as Debian names it
#   packages  what is in it, with commas between
#   emulated  where each of its programs is emulated: its packages are unpacked and left at that, since to configure them
#             would take a quarter of an hour and more
# Mounts live in a namespace that ends with the command.

stop() {
    printf 'Error: %s\n' "$1" >&2
    shift
    printf 'Hint: %s\n' "$@" >&2
    exit 3
}

# Installs a package of this machine for the command that it brings.
need() {
    command -v "$1" >/dev/null || apt-get install -y -qq --no-install-recommends "$2" >/dev/null ||
        stop "no $1" "as root: apt install $2"
}

# Makes the root unless it is there.
make_root() {
    [ -e "$root/ready" ] && return
    [ "$(id -u)" = 0 ] || stop "a Debian root needs root to be made" "run as root: sudo make $(basename "$0")"
    need debootstrap debootstrap
    mkdir -p build
    found=$(scripts/find-archive "$suite" "$arch")
    echo "Making a Debian root of $suite for $arch in build/$(basename "$root")"
    rm -rf "$root"
    mkdir -p "$root"
    debootstrap ${emulated:+--foreign} --arch="$arch" --variant=minbase --include="$packages" "$suite" "$root" "$found" \
        >"$root.log" 2>&1 || stop "debootstrap failed" "$(tail -1 "$root.log")" "the rest is in $root.log"
    [ -z "${emulated:-}" ] || unpack
    touch "$root/ready"
}

# In place of debootstrap's second stage: all packages, and the two files that programs miss most without their scripts.
unpack() {
    rm -f "$root/proc" # a link that debootstrap leaves for its second stage
    mkdir -p "$root/proc"
    for package in "$root"/var/cache/apt/archives/*.deb; do
        dpkg-deb --fsys-tarfile "$package" | tar -x --keep-directory-symlink -C "$root"
    done
    for file in passwd group; do
        cp "$root/usr/share/base-passwd/$file.master" "$root/etc/$file"
    done
}

# Runs a command in the root, on lavapipe. `settings` may hold more of the environment, NAME=VALUE each.
inside() {
    # shellcheck disable=SC2016,SC2086  # expanded by the inner shell; no setting has spaces
    unshare --mount sh -c '
        mount -t proc proc "$1/proc" && root=$1 && shift
        exec env -i PATH=/venv/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 VK_LOADER_DRIVERS_SELECT="*lvp*" \
            "$@"
    ' sh "$root" ${settings:-} chroot "$root" "$@"
}

# Fetches what the requirements need with this machine's pip, for the root's Python, into build/ and the root's /wheels.
# Usage: fetch_wheels PYTHON [OPTION_OF_PIP_DOWNLOAD ...] REQUIREMENT ...
fetch_wheels() {
    fetcher=$1
    shift
    version=$(inside python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    rm -rf "$root-wheels" "$root/wheels"
    "$fetcher" -m pip download --quiet --disable-pip-version-check --only-binary=:all: --python-version "$version" \
        --dest "$root-wheels" "$@"
    cp -r "$root-wheels" "$root/wheels"
}

# Makes /venv of the root anew with the requirements out of /wheels.
make_venv() {
    rm -rf "$root/venv"
    inside python3 -m venv /venv
    inside pip install --quiet --disable-pip-version-check --no-index --find-links /wheels "$@"
}
