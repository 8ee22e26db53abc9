//! What people do with a file system, done by the programs they use. `FLYER_SQLITE_TRANSACTIONS` sets how many of them SQLite commits in
//! each of its modes (10,000).
#![allow(
    clippy::expect_used,
    reason = "helpers of tests are not `in tests` for clippy"
)]

use flyer_mount_tests::{Place, shell};

/// `git clone` of a repository with 5,000 files, and `git fsck`, before and after a remount.
#[test]
fn git_clones_and_finds_its_objects_sound() {
    let place = Place::new();
    let origin = place.beside("origin");
    std::fs::create_dir(&origin).expect("a new directory");
    shell(
        &origin,
        r#"
        git init -q .
        git config user.email test@example.org
        git config user.name test
        for d in $(seq 1 50); do
            mkdir -p "d$d/sub"
            for f in $(seq 1 100); do echo "file $f of $d: $((f * d * 7919))" >"d$d/sub/f$f.txt"; done
        done
        git add -A
        git commit -qm first
        "#,
    );
    let mount = place.mount();
    let script = format!(
        "git clone -q {} clone && cd clone && git fsck --full && git status --porcelain",
        origin.display()
    );
    let said = shell(mount.path(), &script);
    assert!(!said.contains("error"), "{said}");
    assert_eq!(
        shell(mount.path(), "git -C clone ls-files | wc -l").trim(),
        "5000"
    );
    mount.unmount();
    let mount = place.mount();
    shell(
        mount.path(),
        "cd clone && git fsck --full && test -z \"$(git status --porcelain)\"",
    );
    shell(
        mount.path(),
        &format!("diff -r --exclude=.git {} clone", origin.display()),
    );
    mount.unmount();
}

/// A C project is unpacked from an archive and built in two ways.
#[test]
fn a_c_project_unpacks_and_builds() {
    let place = Place::new();
    let mount = place.mount();
    shell(
        mount.path(),
        r#"
        mkdir source && cd source
        for i in $(seq 1 60); do
            printf '#include "all.h"\nint f%d(int x) { return x * %d + 1; }\n' "$i" "$i" >"f$i.c"
            printf 'int f%d(int x);\n' "$i" >>all.h
        done
        { echo '#include <stdio.h>'; echo '#include "all.h"'; echo 'int main(void) { int s = 0;'
          for i in $(seq 1 60); do echo "s += f$i(1);"; done
          echo 'printf("%d\n", s); return 0; }'; } >main.c
        cd .. && tar czf source.tar.gz source && rm -r source && tar xzf source.tar.gz && cd source
        for c in *.c; do cc -O1 -c "$c" -o "${c%.c}.o"; done
        ar rcs liball.a f*.o && cc main.o -L. -lall -o main
        test "$(./main)" = 1890
        "#,
    );
    mount.unmount();
    let mount = place.mount();
    assert_eq!(shell(mount.path(), "./source/main").trim(), "1890");
    mount.unmount();
}

/// `cargo build` of a small crate, incremental and with a lock file.
#[test]
fn cargo_builds_a_crate() {
    let place = Place::new();
    let mount = place.mount();
    shell(
        mount.path(),
        r#"
        cargo new -q --vcs none small && cd small
        echo '#[test] fn adds() { assert_eq!(1 + 1, 2); }' >>src/main.rs
        unset CARGO_TARGET_DIR
        cargo build -q --offline && ./target/debug/small && cargo test -q --offline
        touch src/main.rs && cargo build -q --offline --release && ./target/release/small
        "#,
    );
    mount.unmount();
}

/// 10,000 transactions with and without a write-ahead log, and the integrity check behind a remount.
#[test]
fn sqlite_keeps_its_integrity() {
    let set = std::env::var("FLYER_SQLITE_TRANSACTIONS").ok();
    let transactions: u32 = set.map_or(10_000, |text| text.parse().expect("a number"));
    let place = Place::new();
    let mount = place.mount();
    for mode in ["wal", "delete"] {
        shell(
            mount.path(),
            &format!(
                r#"
                {{ echo 'PRAGMA journal_mode={mode};'
                   echo 'PRAGMA synchronous=NORMAL;'
                   echo 'CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT);'
                   for i in $(seq 1 {transactions}); do echo "BEGIN; INSERT INTO t VALUES($i, hex(randomblob(40))); COMMIT;"; done
                }} | sqlite3 {mode}.db >/dev/null
                "#
            ),
        );
    }
    mount.unmount();
    let mount = place.mount();
    for mode in ["wal", "delete"] {
        let said = shell(
            mount.path(),
            &format!("sqlite3 {mode}.db 'PRAGMA integrity_check; SELECT count(*) FROM t;'"),
        );
        assert_eq!(said, format!("ok\n{transactions}\n"), "{mode}");
    }
    mount.unmount();
}

/// Random writes that are verified, through the page cache, with direct I/O, and mapped into memory.
#[test]
fn fio_verifies_what_it_wrote() {
    let place = Place::new();
    let mount = place.mount();
    for engine in [
        "psync",
        "psync --direct=1",
        "mmap",
        "libaio --direct=1 --iodepth=16",
    ] {
        let script = format!(
            "fio --name=v --ioengine={engine} --rw=randwrite --bs=4k --size=64m --verify=crc32c --verify_fatal=1 \
             --randseed=7 --group_reporting --output-format=terse --minimal >/dev/null && rm v.0.0"
        );
        shell(mount.path(), &script);
    }
    mount.unmount();
}

/// `rsync -a` to the mount and back, compared byte by byte, with times and modes.
#[test]
fn rsync_there_and_back() {
    let place = Place::new();
    let tree = place.beside("tree");
    std::fs::create_dir(&tree).expect("a new directory");
    shell(
        &tree,
        r#"
        for d in a b/c 'with space' deep/er/and/deeper; do
            mkdir -p "$d"
            for i in $(seq 1 60); do head -c $((i * 977)) /dev/urandom >"$d/file $i"; done
            ln -s "file 1" "$d/link"; ln "$d/file 2" "$d/hard"
            chmod 640 "$d/file 3"; chmod 755 "$d/file 4"; touch -d '2001-02-03 04:05:06.789' "$d/file 5"
        done
        truncate -s 5000000 sparse; printf x | dd of=sparse bs=1 seek=3000000 conv=notrunc status=none
        : >empty
        "#,
    );
    let mount = place.mount();
    let back = place.beside("back");
    shell(
        place.beside(".").as_path(),
        &format!(
            "rsync -aHS tree/ {mnt}/tree/ && diff -r tree {mnt}/tree && rsync -aHS {mnt}/tree/ {back}/ && diff -r tree {back} \
             && test -z \"$(rsync -aHSni --checksum tree/ {back}/)\"",
            mnt = mount.path().display(),
            back = back.display(),
        ),
    );
    mount.unmount();
}
