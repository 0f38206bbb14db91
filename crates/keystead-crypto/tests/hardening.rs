//! In a file of its own, and so in a process of its own: the measures cannot be taken back.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use rustix::process::{DumpableBehavior, Resource, dumpable_behavior, getrlimit};

#[test]
fn the_process_dumps_no_core() {
    let hardening = keystead_crypto::harden_process();
    assert!(hardening.is_complete(), "{hardening:?}");
    let limit = getrlimit(Resource::Core);
    assert_eq!((limit.current, limit.maximum), (Some(0), Some(0)));
    assert!(matches!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable));
}
