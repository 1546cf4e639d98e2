#!/bin/sh
# A system of its own for one test: this machine's files under an overlay, and a systemd that knows no
# unit but ours. $1: an empty folder, $2: the tree that `make install` made.
set -eu
base=$1 installed=$2
mount --make-rprivate /
mount -t tmpfs none "$base"
mkdir "$base/up" "$base/work" "$base/root"
mount -t overlay -o "lowerdir=/,upperdir=$base/up,workdir=$base/work" overlay "$base/root"
cd "$base/root"
cp -a "$installed/." .
unit=$(cat usr/lib/systemd/system/sluice.service)
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
for folder in run tmp dev etc/systemd usr/lib/systemd/system; do mount -t tmpfs none "$folder"; done
mkdir etc/systemd/system dev/pts dev/shm
for device in null zero full random urandom tty; do
    : > "dev/$device"
    mount --bind "/dev/$device" "dev/$device"
done
ln -s pts/ptmx dev/ptmx
printf '%s\n' "$unit" > usr/lib/systemd/system/sluice.service
for target in sysinit basic multi-user shutdown network-online nss-lookup time-sync; do
    printf '[Unit]\nDefaultDependencies=no\n' > "usr/lib/systemd/system/$target.target"
done
systemd-sysusers --root="$PWD" "$PWD/usr/lib/sysusers.d/sluice.conf"
chroot . chgrp -R sluice /etc/sluice
mkdir old
pivot_root . old
umount -l /old
export container=other
exec /lib/systemd/systemd --system --unit=basic.target --show-status=false </dev/null
