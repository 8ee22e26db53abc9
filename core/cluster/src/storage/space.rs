//! Room on the disk.
//!
//! Owner: [`StorageServer`](super::StorageServer). The host tells what is free from time to time; in between, what updates take and
//! discards give back is counted. An update reserves what it needs at most before it begins.

use super::options::Options;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Space {
    /// Capacity, once the host has told it. Until then there is room for everything.
    capacity: Option<u64>,
    /// Free, and not reserved.
    free: u64,
    reserved: u64,
    free_min: u64,
}

impl Space {
    /// Nothing is known yet.
    pub(super) const fn new(options: &Options) -> Self {
        Self {
            capacity: None,
            free: 0,
            reserved: 0,
            free_min: options.free_bytes_min,
        }
    }

    /// What the host says.
    pub(super) fn report(&mut self, capacity: u64, free: u64) {
        self.capacity = Some(capacity);
        self.free = free.min(capacity).saturating_sub(self.reserved);
    }

    /// Reserves room. False: there is none.
    pub(super) fn reserve(&mut self, bytes: u32) -> bool {
        let bytes = u64::from(bytes);
        if self.capacity.is_some() && bytes > 0 {
            let Some(left) = self.free.checked_sub(bytes).filter(|left| *left >= self.free_min) else {
                return false;
            };
            self.free = left;
        }
        self.reserved += bytes;
        true
    }

    /// The update that reserved room has ended; whether it took it.
    pub(super) fn end(&mut self, bytes: u32, taken: bool) {
        self.reserved -= u64::from(bytes);
        if !taken && self.capacity.is_some() {
            self.free += u64::from(bytes);
        }
    }

    /// A discard has given back room.
    pub(super) fn give_back(&mut self, bytes: u32) {
        if let Some(capacity) = self.capacity {
            self.free = (self.free + u64::from(bytes)).min(capacity);
        }
    }

    /// Capacity and free bytes.
    pub(super) fn now(&self) -> (u64, u64) {
        (self.capacity.unwrap_or(0), self.free)
    }

    /// Bytes that are reserved.
    pub(super) const fn reserved(&self) -> u64 {
        self.reserved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_counted_between_reports() {
        let mut space = Space::new(&Options {
            free_bytes_min: 100,
            ..Options::default()
        });
        assert!(space.reserve(1 << 30), "nothing is known yet");
        space.end(1 << 30, true);
        space.report(1000, 600);
        assert!(space.reserve(400));
        assert!(!space.reserve(101), "the rest is kept");
        space.report(1000, 600);
        assert_eq!(space.now(), (1000, 200), "what is reserved is not yet taken");
        space.end(400, false);
        assert_eq!(space.now(), (1000, 600));
        space.give_back(5000);
        assert_eq!(space.now(), (1000, 1000));
        assert!(space.reserve(0));
    }
}
