//! An ordinary user mounts through `fusermount3`: what works, who gets in, and what is said when it does not work.
//!
//! Each test is a script of root's in a mount namespace and a process namespace of its own, with its own `/dev/fuse`, open to everybody,
//! and its own `/etc/fuse.conf`: nothing of the host is changed, and nothing is left running or mounted when the script has ended.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests are not `in tests` for clippy"
)]

use flyer_mount_tests::{Place, program, text};
use std::process::{Command, Stdio};

/// `user` and `stranger` run a command as one of two users without any rights. `fails CODE WORDS COMMAND...` wants one line of error
/// with these words, and the code. `refused COMMAND...` wants the kernel to keep somebody out.
const PRELUDE: &str = r#"
    cd "$PLACE"
    PLACE=$(pwd -P)
    mkdir dev theirs
    mount -t tmpfs -o mode=755 tmpfs dev
    mknod -m 666 dev/fuse c 10 229
    mount --bind dev/fuse /dev/fuse
    : >fuse.conf
    mount --bind fuse.conf /etc/fuse.conf
    install -d -o 65534 -g 65534 home
    export XDG_RUNTIME_DIR=$PLACE/home
    data=$PLACE/home/data mnt=$PLACE/home/mnt

    as() { setpriv --reuid="$1" --regid="$1" --clear-groups -- "${@:2}"; }
    user() { as 65534 "$@"; }
    stranger() { as 1 "$@"; }
    mounted() { grep -q " $1 .* - fuse.hf3fs " /proc/self/mountinfo; }
    wrong() { echo "WRONG: $*"; exit 1; }
    fails() {
        local wanted=$1 words=$2 code=0
        shift 2
        "$@" >output 2>&1 || code=$?
        [[ $code == "$wanted" ]] || wrong "$* ended with $code and said: $(<output)"
        [[ $(wc -l <output) == 1 && $(<output) == "flyer: "*"$words"* ]] || wrong "$* said: $(<output)"
    }
    refused() {
        ! "$@" >output 2>&1 || wrong "$* was allowed"
        [[ $(<output) == *"Permission denied"* ]] || wrong "$* said: $(<output)"
    }
"#;

/// Runs a script behind [`PRELUDE`], with the program as `$flyer`.
fn in_a_world_of_its_own(script: &str) {
    let place = Place::new();
    // The one under test may lie where only root can go.
    let flyer = place.beside("flyer");
    std::fs::copy(program(), &flyer).expect("it was built");
    let output = Command::new("unshare")
        .args([
            "--mount",
            "--propagation",
            "private",
            "--pid",
            "--fork",
            "--kill-child",
        ])
        .args(["bash", "-euo", "pipefail", "-c"])
        .arg(format!("{PRELUDE}\n{script}\necho the end"))
        .env("PLACE", place.beside("."))
        .env("flyer", &flyer)
        .current_dir("/")
        .stdin(Stdio::null())
        .output()
        .expect("unshare starts");
    let said = text(&output);
    assert!(
        output.status.success() && said.contains("the end"),
        "{script}\nfailed with {}:\n{said}",
        output.status
    );
}

#[test]
fn a_user_mounts_uses_and_unmounts() {
    in_a_world_of_its_own(
        r#"
        user "$flyer" mount --local "$data" "$mnt" --background
        mounted "$mnt" || wrong "nothing is mounted"
        line=$(grep " $mnt " /proc/self/mountinfo)
        for part in nosuid nodev user_id=65534 group_id=65534 default_permissions; do
            [[ $line == *"$part"* ]] || wrong "$part is not in $line"
        done
        [[ $line != *allow_other* ]] || wrong "others may enter: $line"

        user bash -euc '
            cd "$1"
            mkdir d
            echo hello >d/f
            ln d/f d/hard
            ln -s d/f s
            chmod 600 d/f
            cp /bin/true .
            mv true d/
            test "$(cat s)" = hello
            d/true
            head -c 3000000 /dev/urandom >big
            sync big
        ' - "$mnt"
        [[ -z $(user find "$mnt" ! -user 65534 -o ! -group 65534) ]] || wrong "not everything is the users own"
        sum=$(user md5sum "$mnt/big")
        [[ -z $(find "$data" ! -user 65534) ]] || wrong "data on the disk are not the users own"
        ! user chown 1 "$mnt/big" 2>/dev/null || wrong "files can be given away"

        user "$flyer" umount "$mnt" 2>output || wrong "$(<output)"
        ! mounted "$mnt" || wrong "it is still mounted"
        user "$flyer" mount --local "$data" "$mnt" --background
        [[ $(user md5sum "$mnt/big") == "$sum" ]] || wrong "other bytes behind a remount"
        [[ $(user cat "$mnt/d/hard") == hello ]] || wrong "other bytes behind a remount"
        user "$flyer" umount "$mnt" 2>output || wrong "$(<output)"
        "#,
    );
}

#[test]
fn nobody_else_gets_in() {
    in_a_world_of_its_own(
        r#"
        user "$flyer" mount --local "$data" "$mnt" --background
        user bash -c 'echo secret >"$1/f"' - "$mnt"
        for who in command stranger; do
            refused "$who" ls "$mnt"
            refused "$who" cat "$mnt/f"
            refused "$who" touch "$mnt/new"
        done
        fails 4 "mounted by the user with the id 65534" stranger "$flyer" umount "$mnt"
        fails 4 "mounted by the user with the id 65534" stranger "$flyer" umount --lazy "$mnt"
        mounted "$mnt" || wrong "a stranger has unmounted it"
        [[ $(user cat "$mnt/f") == secret ]] || wrong "other bytes"
        # Root unmounts what it cannot enter.
        "$flyer" umount "$mnt" 2>output || wrong "$(<output)"
        ! mounted "$mnt" || wrong "it is still mounted"
        "#,
    );
}

#[test]
fn others_are_let_in_by_permission() {
    in_a_world_of_its_own(
        r#"
        fails 3 "put the line 'user_allow_other' into /etc/fuse.conf" \
            user "$flyer" mount --local "$data" "$mnt" --allow-other
        ! mounted "$mnt" || wrong "it is mounted all the same"
        echo user_allow_other >fuse.conf
        user "$flyer" mount --local "$data" "$mnt" --allow-other --background
        user bash -euc 'cd "$1"; echo open >f; echo closed >g; chmod 600 g; mkdir -m 777 all' - "$mnt"
        [[ $(stranger cat "$mnt/f") == open ]] || wrong "other bytes"
        refused stranger cat "$mnt/g"
        refused stranger touch "$mnt/new"
        stranger touch "$mnt/all/new"
        [[ $(user stat -c %u:%g "$mnt/all/new") == 1:1 ]] || wrong "a new file has another owner"
        [[ $(cat "$mnt/g") == closed ]] || wrong "root passes every permission"
        user "$flyer" umount "$mnt" 2>output || wrong "$(<output)"
        "#,
    );
}

#[test]
fn what_does_not_work_is_told_with_a_remedy() {
    in_a_world_of_its_own(
        r#"
        mount=("$flyer" mount --local "$data" "$mnt")
        fails 3 "install the package 'fuse3' or run as root" user env PATH=/nowhere "${mount[@]}"
        fails 3 "install the package 'fuse3' or run as root" user env PATH=/nowhere "${mount[@]}" --background
        chmod 600 dev/fuse
        fails 3 "'chmod 666 /dev/fuse'" user "${mount[@]}"
        fails 3 "'chmod 666 /dev/fuse'" user "${mount[@]}" --background
        chmod 666 dev/fuse

        fails 4 "choose a directory of your own" user "$flyer" mount --local "$data" "$PLACE/theirs"
        chmod 1777 theirs
        fails 4 "choose a directory of your own" user "$flyer" mount --local "$data" "$PLACE/theirs"
        chmod 755 theirs
        fails 4 "make it yourself or choose another one" user "$flyer" mount --local "$data" "$PLACE/theirs/new"
        fails 5 "change its owner or mode, or name another directory" user "$flyer" mount --local "$PLACE/theirs/new" "$mnt"

        # Whatever failed, nothing is left: the same directories serve at once.
        ! mounted "$mnt" || wrong "it is mounted all the same"
        user "${mount[@]}" --background
        fails 3 "install the package 'fuse3' or run as root" user env PATH=/nowhere "$flyer" umount "$mnt"
        fails 4 "is in use" user bash -c 'cd "$2"; "$1" umount "$2"; exit $?' - "$flyer" "$mnt"
        user "$flyer" umount "$mnt" 2>output || wrong "$(<output)"
        "#,
    );
}
