//! Time as an argument.
//!
//! [`Time`] is monotonic and local to a host; it starts near 0 in simulations and tests. [`WallTime`] is what 3FS
//! puts on the wire. Arithmetic saturates: a deadline beyond the end of time is "never", not an overflow.

use core::fmt;
use core::ops::{Add, AddAssign, Div, Mul, Sub};

/// A length of time in nanoseconds, never negative.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    ns: u64,
}

/// A point on a host's monotonic clock, in nanoseconds since that host's zero.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time {
    ns: u64,
}

/// A point of wall-clock time: microseconds since 1970-01-01 00:00:00 UTC. This is the form of 3FS's `UtcTime`.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct WallTime {
    /// Microseconds since the Unix epoch; negative before it.
    pub us: i64,
}

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self { ns: 0 };
    /// Longer than anything.
    pub const MAX: Self = Self { ns: u64::MAX };

    /// `ns` nanoseconds.
    #[must_use]
    pub const fn from_ns(ns: u64) -> Self {
        Self { ns }
    }

    /// `us` microseconds.
    #[must_use]
    pub const fn from_us(us: u64) -> Self {
        Self {
            ns: us.saturating_mul(1_000),
        }
    }

    /// `ms` milliseconds.
    #[must_use]
    pub const fn from_ms(ms: u64) -> Self {
        Self {
            ns: ms.saturating_mul(1_000_000),
        }
    }

    /// `s` seconds.
    #[must_use]
    pub const fn from_secs(s: u64) -> Self {
        Self {
            ns: s.saturating_mul(1_000_000_000),
        }
    }

    /// The length in nanoseconds.
    #[must_use]
    pub const fn as_ns(self) -> u64 {
        self.ns
    }

    /// The length in whole microseconds, rounded down.
    #[must_use]
    pub const fn as_us(self) -> u64 {
        self.ns / 1_000
    }

    /// The length in whole milliseconds, rounded down.
    #[must_use]
    pub const fn as_ms(self) -> u64 {
        self.ns / 1_000_000
    }

    /// What is left after taking `other` away, at least zero.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self {
            ns: self.ns.saturating_sub(other.ns),
        }
    }
}

impl Time {
    /// The host's zero.
    pub const ZERO: Self = Self { ns: 0 };
    /// Later than anything that happens: "never".
    pub const NEVER: Self = Self { ns: u64::MAX };

    /// `ns` nanoseconds after the host's zero.
    #[must_use]
    pub const fn from_ns(ns: u64) -> Self {
        Self { ns }
    }

    /// Nanoseconds since the host's zero.
    #[must_use]
    pub const fn as_ns(self) -> u64 {
        self.ns
    }

    /// How long ago `earlier` was; zero if it has not happened yet.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Span {
        Span {
            ns: self.ns.saturating_sub(earlier.ns),
        }
    }
}

impl WallTime {
    /// In a `setattr` request: "the server's current time".
    pub const SERVER_NOW: Self = Self { us: -1 };

    /// `us` microseconds since the Unix epoch.
    #[must_use]
    pub const fn from_us(us: i64) -> Self {
        Self { us }
    }

    /// `s` seconds since the Unix epoch.
    #[must_use]
    pub const fn from_secs(s: i64) -> Self {
        Self {
            us: s.saturating_mul(1_000_000),
        }
    }
}

impl Add<Span> for Time {
    type Output = Self;
    fn add(self, span: Span) -> Self {
        Self {
            ns: self.ns.saturating_add(span.ns),
        }
    }
}

impl AddAssign<Span> for Time {
    fn add_assign(&mut self, span: Span) {
        *self = *self + span;
    }
}

impl Add for Span {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            ns: self.ns.saturating_add(other.ns),
        }
    }
}

impl Sub<Span> for Time {
    type Output = Self;
    fn sub(self, span: Span) -> Self {
        Self {
            ns: self.ns.saturating_sub(span.ns),
        }
    }
}

impl Mul<u64> for Span {
    type Output = Self;
    fn mul(self, factor: u64) -> Self {
        Self {
            ns: self.ns.saturating_mul(factor),
        }
    }
}

impl Div<u64> for Span {
    type Output = Self;
    fn div(self, divisor: u64) -> Self {
        Self {
            ns: self.ns / divisor,
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, name) = match self.ns {
            0..1_000 => (1, "ns"),
            1_000..1_000_000 => (1_000, "us"),
            1_000_000..1_000_000_000 => (1_000_000, "ms"),
            _ => (1_000_000_000, "s"),
        };
        let (whole, rest) = (self.ns / unit, self.ns % unit);
        if rest == 0 {
            return write!(f, "{whole}{name}");
        }
        write!(f, "{whole}.{:03}{name}", rest / (unit / 1_000).max(1))
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::NEVER {
            return f.write_str("never");
        }
        write!(f, "{}.{:09}", self.ns / 1_000_000_000, self.ns % 1_000_000_000)
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}us", self.us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn arithmetic_saturates_instead_of_wrapping() {
        assert_eq!(Time::from_ns(5) + Span::MAX, Time::NEVER);
        assert_eq!(Time::from_ns(5) - Span::from_ns(6), Time::ZERO);
        assert_eq!(Time::from_ns(5).since(Time::from_ns(9)), Span::ZERO);
        assert_eq!(Span::from_secs(u64::MAX), Span::MAX);
    }

    #[test]
    fn spans_print_with_a_fitting_unit() {
        let shown = |ns| format!("{}", Span::from_ns(ns));
        assert_eq!(shown(7), "7ns");
        assert_eq!(shown(1_500), "1.500us");
        assert_eq!(shown(2_000_000), "2ms");
        assert_eq!(shown(1_234_567_890), "1.234s");
    }
}
