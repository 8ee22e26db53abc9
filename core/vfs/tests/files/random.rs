//! Random sequences of operations through several handles, with servers that fail and are late, against plain bytes.

use crate::common::*;
use crate::kit::*;
use flyer_client::storage::Want;
use flyer_cluster::meta::Options;
use flyer_types::ids::{HandleId, InodeId, LeaseId};
use flyer_types::{Errno, Rng, Span};
use flyer_vfs::{Reply, Request};
use flyer_wire::service::meta::Request as Meta;
use proptest::prelude::*;

/// Longest file of a test.
const LENGTH_MAX: u64 = 60_000;

#[derive(Clone, Debug)]
enum Op {
    Open(u32),
    Close(usize),
    Write {
        by: usize,
        offset: u64,
        len: usize,
        room: u32,
    },
    Read {
        by: usize,
        offset: u64,
        len: u32,
    },
    Truncate(u64),
    Fsync(usize),
    Stat,
    Lookup,
    Allocate {
        by: usize,
        mode: u32,
        offset: u64,
        len: u64,
    },
    Pass(u64),
    /// Of so many requests in a hundred something goes wrong.
    Trouble(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let offset = prop_oneof![0..LENGTH_MAX, (0..15u64).prop_map(|n| n * CHUNK), 0..100u64];
    let len = prop_oneof![1..300usize, 1..9000usize];
    let flags = prop_oneof![
        Just(O_RDWR),
        Just(O_RDWR),
        Just(O_RDWR | O_APPEND),
        Just(O_RDWR | O_DIRECT),
        Just(O_RDWR | O_TRUNC),
        Just(O_RDONLY),
        Just(O_RDWR | O_APPEND | O_DIRECT),
    ];
    prop_oneof![
        3 => flags.prop_map(Op::Open),
        2 => (0..8usize).prop_map(Op::Close),
        12 => (0..8usize, offset.clone(), len, prop_oneof![Just(0u32), Just(16384)])
            .prop_map(|(by, offset, len, room)| Op::Write { by, offset, len, room }),
        6 => (0..8usize, offset.clone(), 1..20_000u32).prop_map(|(by, offset, len)| Op::Read { by, offset, len }),
        2 => (0..LENGTH_MAX).prop_map(Op::Truncate),
        1 => Just(Op::Truncate(0)),
        3 => (0..8usize).prop_map(Op::Fsync),
        2 => Just(Op::Stat),
        1 => Just(Op::Lookup),
        2 => (0..8usize, prop_oneof![Just(0u32), Just(1), Just(3), Just(0x10), Just(0x11)], offset, 1..10_000u64)
            .prop_map(|(by, mode, offset, len)| Op::Allocate { by, mode, offset, len }),
        3 => (0..40_000u64).prop_map(Op::Pass),
        2 => prop_oneof![Just(0u64), Just(10), Just(40), Just(100)].prop_map(Op::Trouble),
    ]
}

struct Open {
    handle: HandleId,
    flags: u32,
}

struct Run {
    host: Host,
    inode: InodeId,
    lookups: u64,
    open: Vec<Open>,
    model: Vec<u8>,
    trouble: u64,
    seed: u8,
}

impl Run {
    fn new(seed: u64, stripe_grows: bool) -> Self {
        let mut setup = setup();
        setup.seed = seed;
        setup.config.write_buf_bytes = 16 << 10;
        setup.config.dirty_bytes_max = 100 << 10;
        setup.config.flush_tries_max = 1;
        setup.config.periodic_sync.interval = Span::from_secs(30);
        setup.options = Options {
            dynamic_stripe: stripe_grows,
            dynamic_stripe_initial: 1,
            ..Options::default()
        };
        let mut host = Host::new(&setup);
        host.cluster().delay = (Span::from_us(1), Span::from_us(5000));
        let (inode, handle) = host.create(ALICE, "a", O_RDWR).unwrap();
        Self {
            host,
            inode,
            lookups: 1,
            open: vec![Open {
                handle,
                flags: O_RDWR,
            }],
            model: Vec::new(),
            trouble: 0,
            seed: 0,
        }
    }

    fn set_trouble(&mut self, percent: u64) {
        self.trouble = percent;
        let mut rng = Rng::from_seed(u64::from(self.seed) + 1).split("trouble");
        let mut cluster = self.host.cluster();
        let mut draw = move || match rng.below(100) {
            n if n >= percent => None,
            n if n % 3 == 0 => Some(Fault::transient()),
            n if n % 3 == 1 => Some(Fault::Lost(flyer_types::Status::new(
                flyer_types::StatusCode::RPC_TIMEOUT,
            ))),
            _ => Some(Fault::Late(Span::from_us(700))),
        };
        let mut draw_meta = draw.clone();
        cluster.meta_fault = Some(Box::new(move |_: &Meta| draw_meta()));
        cluster.storage_fault = Some(Box::new(move |_, _: &Want| draw()));
    }

    fn heal(&mut self) {
        self.trouble = 0;
        heal(&self.host);
    }
    fn any(&self, by: usize) -> Option<(HandleId, u32)> {
        let open = self.open.get(by.checked_rem(self.open.len())?)?;
        Some((open.handle, open.flags))
    }

    /// Some that can be written through.
    fn writer(&self, by: usize) -> Option<(HandleId, u32)> {
        self.any(by).filter(|(_, flags)| flags & 3 == O_RDWR)
    }

    /// Does it until it works; the servers are healed after the first failure.
    fn insist<T>(&mut self, mut act: impl FnMut(&mut Self) -> Result<T, Errno>) -> T {
        let mut tries = 0;
        loop {
            match act(self) {
                Ok(value) => return value,
                Err(errno) => {
                    tries += 1;
                    assert!(tries < 4, "{errno} though nothing is wrong");
                    self.heal();
                }
            }
        }
    }

    fn apply(&mut self, op: &Op) {
        let inode = self.inode;
        self.seed = self.seed.wrapping_add(1);
        match *op {
            Op::Open(flags) => {
                let opened = self.insist(|run| run.host.open(ALICE, inode, flags));
                if flags & O_TRUNC != 0 {
                    self.model.clear();
                }
                let handle = opened.handle;
                self.open.push(Open { handle, flags });
            }
            Op::Close(by) => {
                if self.open.len() > 1 {
                    let open = self.open.remove(by % self.open.len());
                    let _ = self.host.flush(inode, open.handle);
                    let _ = self.host.release(inode, open.handle);
                }
            }
            Op::Write {
                by,
                offset,
                len,
                room,
            } => self.write(by, offset, len, room),
            Op::Read { by, offset, len } => {
                let Some((handle, _)) = self.any(by) else { return };
                let read = self.insist(|run| run.host.read(inode, handle, offset, len));
                let from = usize::try_from(offset).unwrap().min(self.model.len());
                let to = (from + len as usize).min(self.model.len());
                assert!(
                    read == self.model[from..to],
                    "{} bytes at {offset} are not these",
                    read.len()
                );
            }
            Op::Truncate(length) => {
                self.insist(|run| run.host.truncate(inode, length));
                self.model.resize(usize::try_from(length).unwrap(), 0);
            }
            Op::Fsync(by) => {
                let Some((handle, _)) = self.any(by) else { return };
                let was_well = self.trouble == 0;
                if self.host.fsync(inode, handle).is_err() {
                    self.heal();
                    self.insist(|run| run.host.fsync(inode, handle));
                }
                if was_well {
                    self.compare_stored();
                }
            }
            Op::Stat => {
                let attributes = self.insist(|run| run.host.stat(inode));
                assert_eq!(attributes.size, self.model.len() as u64);
            }
            Op::Lookup => {
                let entry = self.insist(|run| run.host.lookup(ALICE, InodeId::ROOT, "a"));
                self.lookups += 1;
                assert_eq!(entry.attributes.unwrap().size, self.model.len() as u64);
            }
            Op::Allocate {
                by,
                mode,
                offset,
                len,
            } => self.allocate(by, mode, offset, len),
            Op::Pass(ms) => self.host.run_for(Span::from_ms(ms)),
            Op::Trouble(percent) => self.set_trouble(percent),
        }
    }

    fn write(&mut self, by: usize, offset: u64, len: usize, room: u32) {
        let inode = self.inode;
        let Some((handle, flags)) = self.writer(by) else {
            return;
        };
        let data = bytes(self.seed, len);
        let written = self.insist(|run| {
            let request = run.host.write_request(inode, handle, offset, &data, room);
            match run.host.call(ALICE, request)? {
                Reply::Written(count) => Ok(count),
                other => panic!("{other:?}"),
            }
        });
        assert_eq!(written as usize, len);
        let at = if flags & O_APPEND != 0 {
            self.model.len()
        } else {
            usize::try_from(offset).unwrap()
        };
        if self.model.len() < at + len {
            self.model.resize(at + len, 0);
        }
        self.model[at..at + len].copy_from_slice(&data);
    }

    fn allocate(&mut self, by: usize, mode: u32, offset: u64, length: u64) {
        let inode = self.inode;
        let Some((handle, _)) = self.writer(by) else {
            return;
        };
        self.insist(|run| {
            done(run.host.call(
                ALICE,
                Request::Fallocate {
                    inode,
                    handle,
                    offset,
                    length,
                    mode,
                },
            ))
        });
        let end = usize::try_from(offset + length).unwrap();
        if mode & 1 == 0 && self.model.len() < end {
            self.model.resize(end, 0);
        }
        if mode & !1 != 0 {
            let from = usize::try_from(offset).unwrap().min(self.model.len());
            let to = end.min(self.model.len());
            self.model[from..to].fill(0);
        }
    }

    fn compare_stored(&self) {
        let stored = self.host.stored(self.inode);
        assert_eq!(stored.len(), self.model.len(), "length in storage");
        assert!(stored == self.model, "content in storage");
        assert_eq!(self.host.told(self.inode).0, self.model.len() as u64);
    }

    /// Everything comes to rest, and nothing is left.
    fn finish(mut self) {
        self.heal();
        let inode = self.inode;
        let handle = self.open[0].handle;
        if self.host.fsync(inode, handle).is_err() {
            self.insist(|run| run.host.fsync(inode, handle));
        }
        self.compare_stored();
        for open in core::mem::take(&mut self.open) {
            let _ = self.host.flush(inode, open.handle);
            self.host.release(inode, open.handle).unwrap();
        }
        self.host.run_for(Span::from_secs(200));
        self.compare_stored();
        let left: Vec<LeaseId> = self.host.cluster().memory.keys().copied().collect();
        assert!(left.is_empty(), "memory is left: {left:?}");
        assert_eq!(self.host.shards[0].inner().ops_len(), 0);
        assert_eq!(self.host.shards[0].inner().inodes_len(), 2);
        self.host.forget(inode, self.lookups - 1);
        assert_eq!(
            self.host.shards[0].inner().inodes_len(),
            2,
            "one reference is left"
        );
        self.host.forget(inode, 1);
        assert_eq!(self.host.shards[0].inner().inodes_len(), 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, max_shrink_iters: 3000, ..ProptestConfig::default() })]

    #[test]
    fn a_file_behaves_like_bytes(
        seed in any::<u64>(),
        stripe_grows in any::<bool>(),
        ops in proptest::collection::vec(op(), 1..60),
    ) {
        let mut run = Run::new(seed, stripe_grows);
        for op in &ops {
            run.apply(op);
        }
        run.finish();
    }
}
