//! The kernel's side of a session, played over a pair of sockets. Source of the layouts: `linux/fuse.h`.

use flyer::session::{Session, Settings};
use flyer::{FileSystem, adapter::Tuning};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, setsockopt, socketpair, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};
use nix::unistd::{read, write};
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Far longer than any answer takes.
const ANSWER_S_MAX: i64 = 60;
/// Larger than any answer in these tests.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Everything that a kernel may offer.
pub(crate) const ALL_CAPABILITIES: u64 = u64::MAX & !(1 << 31);

pub(crate) mod op {
    pub(crate) const LOOKUP: u32 = 1;
    pub(crate) const FORGET: u32 = 2;
    pub(crate) const GETATTR: u32 = 3;
    pub(crate) const SETATTR: u32 = 4;
    pub(crate) const READLINK: u32 = 5;
    pub(crate) const SYMLINK: u32 = 6;
    pub(crate) const MKNOD: u32 = 8;
    pub(crate) const MKDIR: u32 = 9;
    pub(crate) const UNLINK: u32 = 10;
    pub(crate) const RMDIR: u32 = 11;
    pub(crate) const LINK: u32 = 13;
    pub(crate) const OPEN: u32 = 14;
    pub(crate) const READ: u32 = 15;
    pub(crate) const WRITE: u32 = 16;
    pub(crate) const STATFS: u32 = 17;
    pub(crate) const RELEASE: u32 = 18;
    pub(crate) const FSYNC: u32 = 20;
    pub(crate) const SETXATTR: u32 = 21;
    pub(crate) const GETXATTR: u32 = 22;
    pub(crate) const LISTXATTR: u32 = 23;
    pub(crate) const REMOVEXATTR: u32 = 24;
    pub(crate) const FLUSH: u32 = 25;
    pub(crate) const INIT: u32 = 26;
    pub(crate) const OPENDIR: u32 = 27;
    pub(crate) const READDIR: u32 = 28;
    pub(crate) const RELEASEDIR: u32 = 29;
    pub(crate) const FSYNCDIR: u32 = 30;
    pub(crate) const GETLK: u32 = 31;
    pub(crate) const ACCESS: u32 = 34;
    pub(crate) const CREATE: u32 = 35;
    pub(crate) const INTERRUPT: u32 = 36;
    pub(crate) const DESTROY: u32 = 38;
    pub(crate) const IOCTL: u32 = 39;
    pub(crate) const BATCH_FORGET: u32 = 42;
    pub(crate) const FALLOCATE: u32 = 43;
    pub(crate) const READDIRPLUS: u32 = 44;
    pub(crate) const RENAME2: u32 = 45;
    pub(crate) const LSEEK: u32 = 46;
    pub(crate) const COPY_FILE_RANGE: u32 = 47;
}

/// Little-endian fields, one behind the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Body(pub(crate) Vec<u8>);

impl Body {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn u32(mut self, value: u32) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    pub(crate) fn u64(mut self, value: u64) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    /// A name with its zero.
    pub(crate) fn name(self, name: &str) -> Self {
        self.bytes(name.as_bytes()).bytes(&[0])
    }

    pub(crate) fn zeros(mut self, count: usize) -> Self {
        self.0.resize(self.0.len() + count, 0);
        self
    }
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) unique: u64,
    /// 0, or a negative error number, or the code of a notification.
    pub(crate) error: i32,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn u32_at(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.body[at..at + 4].try_into().expect("4 bytes"))
    }

    pub(crate) fn u64_at(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.body[at..at + 8].try_into().expect("8 bytes"))
    }
}

pub(crate) struct Kernel {
    socket: OwnedFd,
    unique: u64,
}

/// Who asks, in all these tests.
pub(crate) const UID: u32 = 1000;
pub(crate) const GID: u32 = 100;
pub(crate) const PID: u32 = 4242;

impl Kernel {
    /// Starts a session of `file_system` and plays its kernel, which offers `capabilities`. The answer to INIT comes along.
    pub(crate) fn start(
        file_system: Arc<dyn FileSystem>,
        threads: usize,
        tuning: Tuning,
        capabilities: u64,
    ) -> (Self, Session, Answer) {
        let (ours, theirs) = socketpair(
            AddressFamily::Unix,
            SockType::SeqPacket,
            None,
            SockFlag::SOCK_CLOEXEC,
        )
        .expect("a pair of sockets");
        for socket in [&ours, &theirs] {
            setsockopt(socket, sockopt::SndBuf, &ANSWER_BYTES_MAX).expect("a larger buffer");
        }
        // A session that never answers is a failure, not a test that hangs.
        setsockopt(&ours, sockopt::ReceiveTimeout, &TimeVal::seconds(ANSWER_S_MAX)).expect("a limit");
        let mut kernel = Self {
            socket: ours,
            unique: 0,
        };
        let (low, high) = (capabilities & u64::from(u32::MAX), capabilities >> 32);
        let half = |bits: u64| u32::try_from(bits).expect("32 bits");
        let init = Body::new()
            .u32(7)
            .u32(40)
            .u32(131_072)
            .u32(half(low))
            .u32(half(high))
            .zeros(44);
        // The session waits for it.
        kernel.send(op::INIT, 0, &init);
        let settings = Settings {
            threads,
            clone_device: false,
            tuning,
        };
        let session = Session::start(file_system, theirs, None, settings).expect("a session");
        let answer = kernel.receive();
        (kernel, session, answer)
    }

    pub(crate) fn send(&mut self, opcode: u32, node: u64, body: &Body) -> u64 {
        self.unique += 2;
        let length = u32::try_from(40 + body.0.len()).expect("a short request");
        let message = Body::new()
            .u32(length)
            .u32(opcode)
            .u64(self.unique)
            .u64(node)
            .u32(UID)
            .u32(GID)
            .u32(PID)
            .u32(0)
            .bytes(&body.0);
        let sent = write(&self.socket, &message.0).expect("the session reads");
        assert_eq!(sent, message.0.len());
        self.unique
    }

    pub(crate) fn receive(&self) -> Answer {
        let mut buffer = vec![0; ANSWER_BYTES_MAX];
        let length = read(&self.socket, &mut buffer).expect("the session answers");
        buffer.truncate(length);
        let field = |at: usize| -> [u8; 4] { buffer[at..at + 4].try_into().expect("4 bytes") };
        assert_eq!(
            u32::from_le_bytes(field(0)) as usize,
            length,
            "the length of the answer"
        );
        Answer {
            unique: u64::from_le_bytes(buffer[8..16].try_into().expect("8 bytes")),
            error: i32::from_le_bytes(field(4)),
            body: buffer[16..].to_vec(),
        }
    }

    /// Sends a request and takes its answer.
    pub(crate) fn ask(&mut self, opcode: u32, node: u64, body: &Body) -> Answer {
        let unique = self.send(opcode, node, body);
        let answer = self.receive();
        assert_eq!(answer.unique, unique, "an answer to another request");
        answer
    }

    /// Sends a request that is shorter than its header says.
    pub(crate) fn send_cut_short(&self) {
        let message = Body::new().u32(4096).u32(op::READLINK).zeros(32);
        write(&self.socket, &message.0).expect("the session reads");
    }

    /// Ends the session as an unmount does.
    pub(crate) fn destroy(mut self) {
        let answer = self.ask(op::DESTROY, 0, &Body::new());
        assert_eq!(answer.error, 0);
    }
}
