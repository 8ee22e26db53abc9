//! Coverage marks, with and without the feature `marks`.

use flyer_types::{mark, mark::require};

/// Has a rare case.
fn halve(n: u32) -> u32 {
    if n % 2 == 1 {
        mark!("test.odd");
    }
    n / 2
}

#[cfg(feature = "marks")]
mod counted {
    use super::{halve, require};
    use core::panic::AssertUnwindSafe;
    use flyer_types::{mark, mark::take};
    use std::panic::catch_unwind;

    #[test]
    fn hits_are_counted_since_the_last_report() {
        halve(1);
        halve(2);
        halve(3);
        mark!("test.other");
        assert_eq!(
            take().into_iter().collect::<Vec<_>>(),
            [("test.odd", 2), ("test.other", 1)]
        );
        assert!(take().is_empty());
        halve(5);
        assert_eq!(take().into_iter().collect::<Vec<_>>(), [("test.odd", 1)]);
    }

    #[test]
    fn a_guard_is_content_with_hits_that_were_reported() {
        let _marks = require(["test.odd"]);
        halve(1);
        assert_eq!(take().len(), 1);
    }

    #[test]
    #[should_panic(expected = "the mark \"test.odd\" was not hit")]
    fn a_guard_does_not_count_hits_from_before() {
        halve(1);
        let _marks = require(["test.odd"]);
        halve(2);
    }

    #[test]
    #[should_panic(expected = "the mark \"test.never\" was not hit")]
    fn a_guard_wants_all_of_its_marks() {
        let _marks = require(["test.odd", "test.never"]);
        halve(1);
    }

    #[test]
    fn a_guard_stays_quiet_while_the_thread_panics() {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let _marks = require(["test.never"]);
            panic!("the real failure");
        }));
        let message = outcome.expect_err("it panicked");
        assert_eq!(message.downcast_ref(), Some(&"the real failure"));
    }
}

#[cfg(not(feature = "marks"))]
#[test]
fn without_the_feature_nothing_is_counted_or_required() {
    let _marks = require(["test.odd", "test.never"]);
    assert_eq!(halve(3), 1);
    assert!(mark::take().is_empty());
}
