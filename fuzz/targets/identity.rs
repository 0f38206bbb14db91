//! An identity file: read, and what it says looked up.
#![no_main]

use std::path::Path;

use keystead_identity::{Directory, Existence, Files};
use libfuzzer_sys::fuzz_target;

/// No files but one policy.
struct NoFiles;

impl Files for NoFiles {
    fn policy(&mut self, path: &Path) -> Result<String, String> {
        if path == Path::new("p") {
            Ok(r#"{"Statement":{"Effect":"Allow","Action":"kms:*","Resource":"*"}}"#.to_owned())
        } else {
            Err("no such file".to_owned())
        }
    }

    fn usable(&mut self, _: &Path) -> Result<(), String> {
        Ok(())
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let directory = match Directory::parse_with(Path::new("i.toml"), text, &mut NoFiles) {
        Ok(directory) => directory,
        Err(faults) => {
            assert!(!faults.is_empty());
            let lines = text.split('\n').count();
            assert!(faults.iter().all(|fault| (1..=lines).contains(&fault.line) && fault.column > 0));
            return;
        }
    };
    for account in directory.accounts() {
        assert_eq!(directory.principal_exists(&account.root_arn), Existence::Exists);
        for user in account.users() {
            assert_eq!(directory.principal_exists(&user.arn), Existence::Exists);
            assert!(directory.principal_by_id(&user.id).is_some());
            assert_eq!(account.user(&user.name).expect("found by its name").id, user.id);
        }
        for role in account.roles() {
            assert_eq!(directory.principal_exists(&role.arn), Existence::Exists);
            let session = format!(
                "arn:{}:sts::{}:assumed-role/{}/s",
                account.partition.as_str(),
                account.id,
                role.name
            );
            assert_eq!(directory.principal_exists(&session), Existence::Exists);
        }
    }
});
