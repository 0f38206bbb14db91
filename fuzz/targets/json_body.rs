//! A request body, decoded as the input of every operation: no body may panic, and what is refused is
//! refused in bounded text.
#![no_main]

use keystead_model::{DecodeError, OperationName, decode_any};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    for operation in OperationName::ALL {
        if let Err(DecodeError::Validation(message)) = decode_any(*operation, body) {
            // 128 violations, each with a value cut after 1,024 characters (four bytes each at most).
            assert!(message.len() < 1 << 20, "{} bytes of message", message.len());
            assert!(message.contains("validation error"), "{message}");
        }
    }
});
