//! What strangers send to STS before anything of it is verified: forms, tokens of identity providers, and
//! key sets, which come from files and addresses of the operator.
#![no_main]

use keystead_service::form::{Form, head};
use keystead_service::jws::Jws;
use keystead_service::key_set::KeySet;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (action, version) = head(bytes);
    assert!(action.len() + version.len() <= bytes.len());
    if let Ok(form) = Form::parse(bytes) {
        for name in ["Tags", "PolicyArns", "TransitiveTagKeys"] {
            // Numbered from 1 without a gap, so no list is longer than the form.
            if let Ok(list) = form.list(name) {
                assert!(list.len() <= bytes.len() && list.iter().all(|item| !item.is_empty()));
            }
        }
    }
    let set = KeySet::parse(bytes);
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(token) = Jws::parse(text)
    {
        let _ = token.claims();
        if let Ok(set) = &set {
            let _ = set.find(token.key_id.as_deref(), token.algorithm);
        }
    }
});
