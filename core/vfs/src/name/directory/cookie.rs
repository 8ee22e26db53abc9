//! Cookies of directory entries: where a listing goes on, from names alone.
//!
//! A cookie says "behind this name" in 63 bits, so that a place found once is found again after other entries came and went, and without
//! keeping the names. The directory's names come in byte order. A handle keeps a table of prefixes; a cookie holds
//!
//! ```text
//!   bit 62 ... 51   50 ... 40   39 ............ 0
//!     prefix id       mark       key: the 5 bytes behind the prefix, padded with zeros
//! ```
//!
//! Listing behind prefix and key leads to the place again: behind the name itself if it ends there (mark 0), else just before it, and the mark
//! tells it from others that may have come. Names of a page that share prefix and key, among themselves or with the name before the page, get
//! a longer prefix, which they do not share. So each cookie stands for one place in the order of names, and two names that exist at
//! the same time have different ones.
//!
//! Cookies below [`ENTRY_MIN`] are free for entries that have no such name: a name has no zero bytes, so its key is larger.
//!
//! Limits: [`PREFIXES_MAX`] prefixes of a handle, enough for about a million entries; beyond that, shorter prefixes are used again. Going back to a
//! place that the handle no longer keeps may then show a name twice or not at all where names share prefix and key. The same can happen
//! if the name of the cookie was removed and one of the 2047 marks fits a neighbour that shares prefix and key.

use alloc::vec::Vec;
use flyer_types::Text;

/// Prefixes that a handle knows.
pub(super) const PREFIXES_MAX: usize = 1 << 12;
/// Smallest cookie of an entry with a name.
pub(super) const ENTRY_MIN: u64 = 1 << 32;

/// Bytes of a key.
const KEY_BYTES: usize = 5;
const KEY_BITS: u32 = 40;
const MARK_BITS: u32 = 11;

/// Parts of a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cookie {
    prefix: u16,
    mark: u16,
    key: u64,
}

/// Where a listing goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resume {
    /// Names behind this one.
    pub(super) after: Text,
    /// If not 0: and behind the name that begins with `after` and has this mark, if it is still there.
    mark: u16,
}

impl Resume {
    /// From the first name on.
    pub(super) fn start() -> Self {
        Self::after(Text::default())
    }

    /// Behind a name.
    pub(super) const fn after(name: Text) -> Self {
        Self { after: name, mark: 0 }
    }

    /// How many of the names listed behind `after` are still to be left out.
    pub(super) fn skip<'a>(&self, names: impl Iterator<Item = &'a Text>) -> usize {
        if self.mark == 0 {
            return 0;
        }
        let mut tied = names.take_while(|name| name.as_bytes().starts_with(self.after.as_bytes()));
        let at = tied.position(|name| mark_of(name) == self.mark);
        at.map_or(0, |at| at + 1)
    }
}

impl Cookie {
    fn from_bits(bits: u64) -> Self {
        let field = |shift: u32, width: u32| (bits >> shift) & ((1 << width) - 1);
        let narrow = |value: u64| u16::try_from(value).expect("fields are at most 13 bits wide");
        Self {
            prefix: narrow(field(KEY_BITS + MARK_BITS, 13)),
            mark: narrow(field(KEY_BITS, MARK_BITS)),
            key: field(0, KEY_BITS),
        }
    }

    fn bits(self) -> u64 {
        u64::from(self.prefix) << (KEY_BITS + MARK_BITS) | u64::from(self.mark) << KEY_BITS | self.key
    }
}

/// The prefixes of a handle, and the cookie given last.
#[derive(Debug)]
pub(super) struct Prefixes {
    known: Vec<Text>,
    /// The name before those that get cookies next.
    last: Option<Text>,
}

impl Prefixes {
    /// Only the empty one, which fits every name.
    pub(super) fn new() -> Self {
        Self {
            known: alloc::vec![Text::default()],
            last: None,
        }
    }

    /// Number of prefixes.
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// Where the listing goes on behind an entry; `None` if this handle does not know the prefix.
    pub(super) fn resume(&self, cookie: u64) -> Option<Resume> {
        let cookie = Cookie::from_bits(cookie);
        let prefix = self.known.get(usize::from(cookie.prefix))?;
        let mut name = prefix.as_bytes().to_vec();
        let key = cookie.key.to_be_bytes();
        name.extend_from_slice(&key[size_of::<u64>() - KEY_BYTES..]);
        while name.last() == Some(&0) {
            name.pop();
        }
        let name = Text::from(name);
        Some(Resume {
            after: name,
            mark: cookie.mark,
        })
    }

    /// Cookies are given to the names behind `name` next.
    pub(super) fn go_on_behind(&mut self, name: &Text) {
        self.last = (!name.is_empty()).then(|| name.clone());
    }

    /// Cookies for the names of a page, which follow the last one in order.
    pub(super) fn give(&mut self, names: &[&Text]) -> Vec<u64> {
        let (Some(first), Some(last)) = (names.first(), names.last()) else {
            return Vec::new();
        };
        let before = self.last.replace((*last).clone());
        let prefix = common(first, last);
        let mut cookies = Vec::new();
        self.give_below(prefix, names, before.as_ref(), &mut cookies);
        cookies
    }

    /// Cookies for names that begin alike. `before` is the name before them.
    fn give_below(&mut self, wanted: Text, names: &[&Text], before: Option<&Text>, cookies: &mut Vec<u64>) {
        let wanted_bytes = wanted.len();
        let prefix = self.intern(wanted);
        let start = self.prefix_bytes(prefix).to_vec();
        for tied in names.chunk_by(|a, b| key(a, &start) == key(b, &start)) {
            let (first, last) = (tied[0], tied[tied.len() - 1]);
            let with_before = before.filter(|before| {
                before.as_bytes().starts_with(&start) && key(before, &start) == key(first, &start)
            });
            let longer = common(with_before.unwrap_or(first), last);
            let is_alone = tied.len() == 1 && with_before.is_none();
            // A full table may have nothing longer.
            if is_alone || start.len() < wanted_bytes || longer.len() <= start.len() {
                cookies.extend(tied.iter().map(|name| self.cookie(prefix, name).bits()));
            } else {
                self.give_below(longer, tied, with_before, cookies);
            }
        }
    }

    fn cookie(&self, prefix: u16, name: &Text) -> Cookie {
        let start = self.prefix_bytes(prefix);
        let ends = name.len() <= start.len() + KEY_BYTES;
        Cookie {
            prefix,
            mark: if ends { 0 } else { mark_of(name) },
            key: key(name, start),
        }
    }

    fn prefix_bytes(&self, prefix: u16) -> &[u8] {
        self.known[usize::from(prefix)].as_bytes()
    }

    /// The number of a prefix; of the longest known one that is a part of it if the table is full.
    fn intern(&mut self, prefix: Text) -> u16 {
        let number = |at: usize| u16::try_from(at).expect("the table is bounded");
        if let Some(at) = self.known.iter().rposition(|known| *known == prefix) {
            return number(at);
        }
        if self.known.len() < PREFIXES_MAX {
            self.known.push(prefix);
            return number(self.known.len() - 1);
        }
        flyer_types::mark!("vfs.prefixes_full");
        let fits = |known: &Text| prefix.as_bytes().starts_with(known.as_bytes());
        let known = self.known.iter().enumerate();
        let longest = known
            .filter(|(_, known)| fits(known))
            .max_by_key(|(_, known)| known.len());
        longest.map_or(0, |(at, _)| number(at))
    }
}

/// What two names begin with.
fn common(a: &Text, b: &Text) -> Text {
    let same = a
        .as_bytes()
        .iter()
        .zip(b.as_bytes())
        .take_while(|(a, b)| a == b)
        .count();
    Text::from(&a.as_bytes()[..same])
}

/// The mark of a name: from 1 on, and rarely that of another one (FNV-1a, folded).
fn mark_of(name: &Text) -> u16 {
    let hash = name.as_bytes().iter().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    });
    let folded = (hash >> 16 ^ hash) % ((1 << MARK_BITS) - 1) + 1;
    u16::try_from(folded).expect("a mark has 11 bits")
}

/// The key of a name behind a prefix that it has.
fn key(name: &Text, prefix: &[u8]) -> u64 {
    let rest = name.as_bytes().get(prefix.len()..).unwrap_or_default();
    (0..KEY_BYTES).fold(0, |key, at| {
        key << 8 | u64::from(rest.get(at).copied().unwrap_or(0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a server would list from there.
    fn rest<'a>(names: &'a [Text], resume: &Resume) -> &'a [Text] {
        let listed = &names[names.partition_point(|name| *name <= resume.after)..];
        &listed[resume.skip(listed.iter())..]
    }

    fn give(prefixes: &mut Prefixes, names: &[Text]) -> Vec<u64> {
        prefixes.give(&names.iter().collect::<Vec<_>>())
    }

    fn names() -> impl Strategy<Value = Vec<Text>> {
        let name = prop_oneof![
            "[ab]{1,12}",
            "[a-c]{1,3}",
            "file0000[0-9]{3}",
            "long_common_[xy]_part_[0-9]{1,2}",
        ];
        prop::collection::btree_set(name, 1..120)
            .prop_map(|set| set.iter().map(|name| Text::from(name.as_str())).collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

        /// As long as nothing changes, every cookie leads back to where it was given, however the names fall into pages.
        #[test]
        fn a_cookie_leads_behind_its_name(names in names(), page in 1..40usize) {
            let mut prefixes = Prefixes::new();
            let mut given = Vec::new();
            for page in names.chunks(page) {
                given.extend(give(&mut prefixes, page));
            }
            for (at, cookie) in given.iter().enumerate() {
                prop_assert!(*cookie >= ENTRY_MIN && *cookie < 1 << 63);
                let resume = prefixes.resume(*cookie).expect("it was just given");
                prop_assert_eq!(rest(&names, &resume), &names[at + 1..], "{}: {:?}", names[at], resume);
            }
            let mut unique = given.clone();
            unique.sort_unstable();
            unique.dedup();
            prop_assert_eq!(unique.len(), given.len());
        }

        /// A listing that goes on behind any name gives cookies that lead back, too.
        #[test]
        fn cookies_given_after_a_jump_lead_behind_their_names(names in names(), start: prop::sample::Index) {
            let start = start.index(names.len());
            let mut prefixes = Prefixes::new();
            give(&mut prefixes, &names);
            prefixes.go_on_behind(&names[start]);
            let given = give(&mut prefixes, &names[start + 1..]);
            for (at, cookie) in given.iter().enumerate() {
                let resume = prefixes.resume(*cookie).expect("it was just given");
                prop_assert_eq!(rest(&names, &resume), &names[start + 2 + at..]);
            }
        }

        /// Any number is answered.
        #[test]
        fn made_up_cookies_name_some_place_or_none(cookie: u64) {
            let resume = Prefixes::new().resume(cookie);
            prop_assert!(resume.is_none_or(|resume| resume.after.len() <= KEY_BYTES));
        }
    }

    #[test]
    fn a_full_table_uses_the_prefix_that_fits_best() {
        let mut prefixes = Prefixes::new();
        let page = |at: usize| [alloc::format!("{at:06}a"), alloc::format!("{at:06}b")].map(Text::from);
        for at in 0..2 * PREFIXES_MAX {
            let names = page(at);
            for (name, cookie) in names.iter().zip(give(&mut prefixes, &names)) {
                let resume = prefixes.resume(cookie).expect("it was just given");
                assert!(
                    name.as_bytes().starts_with(resume.after.as_bytes()),
                    "{name}: {resume:?}"
                );
            }
        }
        assert_eq!(prefixes.len(), PREFIXES_MAX);
    }
}
