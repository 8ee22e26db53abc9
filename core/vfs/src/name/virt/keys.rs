//! Options that users read below `3fs-virt/get-conf` and change below `3fs-virt/set-conf`.
//!
//! Keys that begin with `sys.` are for the whole mount and changed by root only; those that begin with `usr.` are the caller's own.
//!
//! Text forms: `true` and `false`; numbers; seconds as decimals (`0.5`); durations as upstream prints and reads them (`1min 30s`).
//! A value may stand in quotes.
//!
//! Source: `src/fuse/UserConfig.{h,cc}`, `src/common/utils/Duration.cc` upstream.

use crate::config::{Config, UserOverrides};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use flyer_types::ids::Uid;
use flyer_types::{Errno, Span};

/// A key, in the order that gives entries their inode numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Transmissions,
    SyncEnable,
    SyncInterval,
    SyncFlush,
    IoWorkersHigh,
    IoWorkersLow,
    JobsPerRing,
    JobWait,
    ReadCache,
    Readonly,
    Dryrun,
    FlushOnStat,
    SyncOnStat,
    AttrTimeout,
    EntryTimeout,
    NegativeTimeout,
    SymlinkTimeout,
}

/// All keys, by number.
pub(super) const KEYS: [(Key, &str); 17] = [
    (
        Key::Transmissions,
        "sys.storage.net_client.rdma_control.max_concurrent_transmission",
    ),
    (Key::SyncEnable, "sys.periodic_sync.enable"),
    (Key::SyncInterval, "sys.periodic_sync.interval"),
    (Key::SyncFlush, "sys.periodic_sync.flush_write_buf"),
    (Key::IoWorkersHigh, "sys.io_worker_coros.hi"),
    (Key::IoWorkersLow, "sys.io_worker_coros.lo"),
    (Key::JobsPerRing, "sys.max_jobs_per_ioring"),
    (Key::JobWait, "sys.io_job_deq_timeout"),
    (Key::ReadCache, "usr.enable_read_cache"),
    (Key::Readonly, "usr.readonly"),
    (Key::Dryrun, "usr.dryrun_bench_mode"),
    (Key::FlushOnStat, "usr.flush_on_stat"),
    (Key::SyncOnStat, "usr.sync_on_stat"),
    (Key::AttrTimeout, "usr.attr_timeout"),
    (Key::EntryTimeout, "usr.entry_timeout"),
    (Key::NegativeTimeout, "usr.negative_timeout"),
    (Key::SymlinkTimeout, "usr.symlink_timeout"),
];

/// Units of durations, from the longest.
const UNITS: [(&str, u64); 7] = [
    ("day", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("min", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

impl Key {
    /// The key with a name, and its number.
    pub(super) fn find(name: &[u8]) -> Option<(Self, u64)> {
        let numbered = (0..).zip(KEYS);
        let mut named = numbered.filter(|(_, (_, known))| known.as_bytes() == name);
        named.next().map(|(number, (key, _))| (key, number))
    }

    /// The key with a number.
    pub(super) fn numbered(number: u64) -> Option<Self> {
        let at = usize::try_from(number).ok()?;
        KEYS.get(at).map(|(key, _)| *key)
    }

    /// Whether it is for the whole mount.
    pub(super) fn is_system(self) -> bool {
        self < Self::ReadCache
    }

    /// The value that `uid` sees.
    pub(super) fn text(self, config: &Config, uid: Uid) -> String {
        let user = config.of(uid);
        let tuning = &config.tuning;
        match self {
            Self::Transmissions => tuning.transmissions.to_string(),
            Self::SyncEnable => config.periodic_sync.enable.to_string(),
            Self::SyncInterval => duration_text(config.periodic_sync.interval),
            Self::SyncFlush => config.periodic_sync.flush_write_buf.to_string(),
            Self::IoWorkersHigh => tuning.io_workers_high.to_string(),
            Self::IoWorkersLow => tuning.io_workers_low.to_string(),
            Self::JobsPerRing => tuning.jobs_per_ring_max.to_string(),
            Self::JobWait => duration_text(tuning.job_wait),
            Self::ReadCache => user.enable_read_cache.to_string(),
            Self::Readonly => user.readonly.to_string(),
            Self::Dryrun => user.dryrun_bench_mode.to_string(),
            Self::FlushOnStat => user.flush_on_stat.to_string(),
            Self::SyncOnStat => user.sync_on_stat.to_string(),
            Self::AttrTimeout => seconds_text(user.attr_timeout),
            Self::EntryTimeout => seconds_text(user.entry_timeout),
            Self::NegativeTimeout => seconds_text(user.negative_timeout),
            Self::SymlinkTimeout => seconds_text(user.symlink_timeout),
        }
    }

    /// Changes the value for the mount or for `uid`.
    ///
    /// # Errors
    /// `EPERM`: a key of the mount, and not root; an own key, and the user's number is too large. `EINVAL`: not a value of the key.
    pub(super) fn set(self, config: &mut Config, uid: Uid, value: &[u8]) -> Result<(), Errno> {
        let text = core::str::from_utf8(value).map_err(|_| Errno::EINVAL)?;
        let text = unquoted(text.trim());
        if self.is_system() {
            if uid != Uid(0) {
                return Err(Errno::EPERM);
            }
            return self.set_system(config, text).ok_or(Errno::EINVAL);
        }
        if uid > config.uid_max {
            return Err(Errno::EPERM);
        }
        let own = self.own(config.users.overrides(uid), text).ok_or(Errno::EINVAL)?;
        if self == Self::Readonly && own.readonly == Some(false) && config.user.readonly {
            return Err(Errno::EINVAL);
        }
        config.set_own(uid, own);
        Ok(())
    }

    fn set_system(self, config: &mut Config, text: &str) -> Option<()> {
        let tuning = &mut config.tuning;
        match self {
            Self::Transmissions => {
                let most = tuning.transmissions_configured.saturating_mul(2);
                tuning.transmissions = number(text).filter(|value| *value <= most)?;
            }
            Self::SyncEnable => config.periodic_sync.enable = text.parse().ok()?,
            Self::SyncInterval => {
                // Rounds without a pause would leave no time for anything else.
                let interval = duration(text).filter(|interval| *interval > Span::ZERO)?;
                config.periodic_sync.interval = interval;
            }
            Self::SyncFlush => config.periodic_sync.flush_write_buf = text.parse().ok()?,
            Self::IoWorkersHigh => tuning.io_workers_high = number(text)?,
            Self::IoWorkersLow => tuning.io_workers_low = number(text)?,
            Self::JobsPerRing => tuning.jobs_per_ring_max = number(text)?,
            Self::JobWait => tuning.job_wait = duration(text)?,
            Self::ReadCache
            | Self::Readonly
            | Self::Dryrun
            | Self::FlushOnStat
            | Self::SyncOnStat
            | Self::AttrTimeout
            | Self::EntryTimeout
            | Self::NegativeTimeout
            | Self::SymlinkTimeout => unreachable!("{self:?} is a key of users"),
        }
        Some(())
    }

    fn own(self, mut own: UserOverrides, text: &str) -> Option<UserOverrides> {
        match self {
            Self::ReadCache => own.enable_read_cache = Some(text.parse().ok()?),
            Self::Readonly => own.readonly = Some(text.parse().ok()?),
            Self::Dryrun => own.dryrun_bench_mode = Some(text.parse().ok()?),
            Self::FlushOnStat => own.flush_on_stat = Some(text.parse().ok()?),
            Self::SyncOnStat => own.sync_on_stat = Some(text.parse().ok()?),
            Self::AttrTimeout => own.attr_timeout = Some(seconds(text)?),
            Self::EntryTimeout => own.entry_timeout = Some(seconds(text)?),
            Self::NegativeTimeout => own.negative_timeout = Some(seconds(text)?),
            Self::SymlinkTimeout => own.symlink_timeout = Some(seconds(text)?),
            Self::Transmissions
            | Self::SyncEnable
            | Self::SyncInterval
            | Self::SyncFlush
            | Self::IoWorkersHigh
            | Self::IoWorkersLow
            | Self::JobsPerRing
            | Self::JobWait => unreachable!("{self:?} is a key of the mount"),
        }
        Some(own)
    }
}

/// A value without the quotes around it.
fn unquoted(text: &str) -> &str {
    let quoted = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    quoted('"').or_else(|| quoted('\'')).unwrap_or(text)
}

/// A number from 1 on.
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|value| *value > 0)
}

/// Seconds, as a decimal with at least one digit behind the point.
fn seconds_text(span: Span) -> String {
    let (whole, rest) = (span.as_ns() / 1_000_000_000, span.as_ns() % 1_000_000_000);
    let digits = format!("{rest:09}");
    let digits = digits.trim_end_matches('0');
    format!("{whole}.{}", if digits.is_empty() { "0" } else { digits })
}

fn seconds(text: &str) -> Option<Span> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit());
    if !is_number(whole) || !is_number(rest) {
        return None;
    }
    let nanos: String = rest.chars().chain("000000000".chars()).take(9).collect();
    let ns = whole.parse::<u64>().ok()?.checked_mul(1_000_000_000)?;
    ns.checked_add(nanos.parse().ok()?).map(Span::from_ns)
}

fn duration_text(span: Span) -> String {
    let mut rest = span.as_ns();
    let mut groups = Vec::new();
    for (unit, ns) in UNITS {
        if rest >= ns {
            groups.push(format!("{}{unit}", rest / ns));
            rest %= ns;
        }
    }
    if groups.is_empty() {
        return String::from("0ns");
    }
    groups.join(" ")
}

/// Groups of a number and a unit, the units strictly shorter from group to group.
fn duration(text: &str) -> Option<Span> {
    let mut rest = text.trim();
    let mut units = UNITS.iter();
    let mut total = 0u64;
    loop {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let value: u64 = rest.get(..digits)?.parse().ok()?;
        rest = rest.get(digits..)?.trim_start();
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let name = rest.get(..letters)?;
        let (_, ns) = units.find(|(unit, _)| *unit == name)?;
        total = total.checked_add(value.checked_mul(*ns)?)?;
        rest = rest.get(letters..)?.trim_start();
        if rest.is_empty() {
            return Some(Span::from_ns(total));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::UserConfig;
    use proptest::prelude::*;

    #[test]
    fn texts_are_those_of_upstream() {
        let config = Config::default();
        let texts: Vec<_> = KEYS.iter().map(|(key, _)| key.text(&config, Uid(5))).collect();
        let expected = [
            "64", "true", "30s", "true", "8", "8", "32", "1ms", "true", "false", "false", "true", "true",
            "30.0", "30.0", "5.0", "5.0",
        ];
        assert_eq!(texts, expected);
        for (number, (key, name)) in (0..).zip(KEYS) {
            assert_eq!(Key::find(name.as_bytes()), Some((key, number)));
            assert_eq!(Key::numbered(number), Some(key));
            assert_eq!(key.is_system(), number < 8, "{name}");
        }
        assert_eq!(Key::numbered(17), None);
        assert_eq!(Key::find(b"usr.attr"), None);
    }

    #[test]
    fn values_that_are_none_change_nothing() {
        let bad: [(Key, &[&str]); 6] = [
            (Key::Transmissions, &["0", "129", "-1", "", "1.0"]),
            (Key::SyncEnable, &["1", "yes", "True", ""]),
            (
                Key::SyncInterval,
                &["0s", "30", "5d", "1s 1min", "", "s", "1 s 1 s", "99999999999day"],
            ),
            (Key::JobWait, &["-1ms", "1.5s"]),
            (
                Key::AttrTimeout,
                &["-1", "1.", ".5", "1e3", "nan", "99999999999999"],
            ),
            (Key::Readonly, &["on"]),
        ];
        let mut config = Config::default();
        for (key, values) in bad {
            for value in values {
                let result = key.set(&mut config, Uid(0), value.as_bytes());
                assert_eq!(result, Err(Errno::EINVAL), "{key:?} {value:?}");
            }
        }
        assert_eq!(
            Key::SyncEnable.set(&mut config, Uid(0), &[0xff]),
            Err(Errno::EINVAL)
        );
        assert_eq!(config, Config::default());
    }

    #[test]
    fn some_keys_are_not_for_everybody() {
        let mut config = Config::default();
        let user = Uid(7);
        assert_eq!(
            Key::SyncEnable.set(&mut config, user, b"false"),
            Err(Errno::EPERM)
        );
        let last = config.uid_max;
        let stranger = Uid(last.0 + 1);
        assert_eq!(
            Key::AttrTimeout.set(&mut config, stranger, b"1"),
            Err(Errno::EPERM)
        );
        assert_eq!(Key::AttrTimeout.set(&mut config, last, b"1"), Ok(()));
        assert_eq!(Key::Transmissions.set(&mut config, Uid(0), b"128"), Ok(()));
        config.set_user(UserConfig {
            readonly: true,
            ..config.user
        });
        assert_eq!(Key::Readonly.set(&mut config, user, b"false"), Err(Errno::EINVAL));
        assert_eq!(Key::Readonly.set(&mut config, user, b"true"), Ok(()));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn spans_survive_their_texts(ns in prop_oneof![any::<u64>(), 0..10_000_000_000u64]) {
            let span = Span::from_ns(ns);
            prop_assert_eq!(duration(&duration_text(span)), Some(span));
            prop_assert_eq!(seconds(&seconds_text(span)), Some(span));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[0-9a-z .]{0,12}") {
            let _ = (duration(&text), seconds(&text), number(&text));
        }
    }

    #[test]
    fn durations_are_written_in_many_ways() {
        let second = 1_000_000_000;
        let spans = [
            (
                "1day 2h 2001 ms",
                86_400 * second + 7_200 * second + 2_001_000_000,
            ),
            ("1min30s", 90 * second),
            (" 5 us ", 5_000),
            ("0ns", 0),
        ];
        for (text, ns) in spans {
            assert_eq!(duration(text), Some(Span::from_ns(ns)), "{text}");
        }
        assert_eq!(duration_text(Span::from_ns(90_001_000_000)), "1min 30s 1ms");
        assert_eq!(unquoted("'10s'"), "10s");
        assert_eq!(unquoted("\"10s'"), "\"10s'");
    }
}
