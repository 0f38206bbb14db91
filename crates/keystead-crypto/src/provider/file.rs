use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, OFlags, RenameFlags, renameat_with};
use zeroize::Zeroizing;

use super::RootKeyError;
use crate::arena::KEY_LEN;
use crate::random;

const PREFIX: &[u8] = b"keystead-root-key-v1:";
const LINE_LEN: usize = PREFIX.len() + 2 * KEY_LEN + 1;

pub(super) fn create(path: &Path, key: &[u8; KEY_LEN]) -> Result<(), RootKeyError> {
    let mut line = Zeroizing::new([b'\n'; LINE_LEN]);
    line[..PREFIX.len()].copy_from_slice(PREFIX);
    hex::encode_to_slice(key, &mut line[PREFIX.len()..LINE_LEN - 1])
        .map_err(|_| malformed(path))?;

    // Written beside its place and moved there whole: a file cut short by a kill would be taken for
    // a root key that is damaged, and be in the way of every start.
    let draft = draft_name(path)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .map_err(|source| failed(path, "create", source))?;
    let placed = file
        .write_all(&*line)
        .and_then(|()| file.sync_all())
        .map_err(|source| failed(path, "write", source))
        .and_then(|()| place(&draft, path));
    if placed.is_err() {
        // It holds no key that anyone uses.
        let _ = fs::remove_file(&draft);
        return placed;
    }
    let synced = sync_directory(path);
    if synced.is_err() {
        // It was made by this call and is not in use yet.
        let _ = fs::remove_file(path);
    }
    synced
}

/// `.<name>.<random>.new` in the directory of `path`.
fn draft_name(path: &Path) -> Result<PathBuf, RootKeyError> {
    let name = path
        .file_name()
        .ok_or_else(|| failed(path, "create", io::ErrorKind::InvalidInput.into()))?;
    let mut draft = OsString::from(".");
    draft.push(name);
    draft.push(format!(".{}.new", hex::encode(random::random_bytes::<8>()?)));
    Ok(path.with_file_name(draft))
}

/// Gives the file its name unless something has it. A second name for a moment only where the file
/// system cannot rename on that condition.
fn place(draft: &Path, path: &Path) -> Result<(), RootKeyError> {
    let renamed = renameat_with(CWD, draft, CWD, path, RenameFlags::NOREPLACE);
    let placed = match renamed.map_err(io::Error::from) {
        Err(error)
            if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) =>
        {
            fs::hard_link(draft, path).and_then(|()| fs::remove_file(draft))
        }
        placed => placed,
    };
    placed.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => RootKeyError::Exists { path: path.into() },
        _ => failed(path, "create", source),
    })
}

pub(super) fn load(path: &Path, key: &mut [u8; KEY_LEN]) -> Result<(), RootKeyError> {
    // Without NONBLOCK a named pipe would hang the start. All checks are made on the open file, so
    // that it cannot be exchanged after them.
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(i32::try_from((OFlags::NONBLOCK | OFlags::NOCTTY).bits()).unwrap_or(0))
        .open(path)
        .map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => RootKeyError::Missing { path: path.into() },
            _ => failed(path, "open", source),
        })?;
    let metadata = file.metadata().map_err(|source| failed(path, "inspect", source))?;
    if !metadata.is_file() {
        return Err(RootKeyError::NotAFile { path: path.into() });
    }
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(RootKeyError::Permissions { path: path.into(), mode });
    }
    if metadata.len() != LINE_LEN as u64 {
        return Err(malformed(path));
    }
    let mut line = Zeroizing::new([0; LINE_LEN]);
    file.read_exact(&mut *line).map_err(|source| failed(path, "read", source))?;
    let digits = line.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(b"\n"));
    // The hex error would show a character of the key.
    hex::decode_to_slice(digits.ok_or_else(|| malformed(path))?, key).map_err(|_| malformed(path))
}

/// Makes the new name durable.
fn sync_directory(path: &Path) -> Result<(), RootKeyError> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(|source| failed(directory, "sync the directory", source))
}

fn failed(path: &Path, what: &'static str, source: io::Error) -> RootKeyError {
    RootKeyError::Io { path: path.into(), what, source }
}

fn malformed(path: &Path) -> RootKeyError {
    RootKeyError::Malformed { path: path.into() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use crate::provider::RootKey;
    use std::os::unix::fs::symlink;
    use std::sync::atomic::{AtomicBool, Ordering};

    const HEX: &str = "00112233445566778899aabbccddeeff0123456789abcdef0123456789abcdef";

    fn write(path: &Path, content: &str, mode: u32) {
        fs::write(path, content).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_is_created_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("root.key");
        let root = RootKey::create_file(&path).unwrap();
        assert_eq!(RootKey::load_file(&path).unwrap().expose(), root.expose());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        let line = fs::read_to_string(&path).unwrap();
        assert_eq!(line, format!("keystead-root-key-v1:{}\n", hex::encode(root.expose())));

        assert!(matches!(RootKey::create_file(&path), Err(RootKeyError::Exists { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), line, "an existing file is never touched");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no draft is left behind");
    }

    /// So that a kill at any moment leaves a root key or none.
    #[test]
    fn a_file_is_whole_as_soon_as_it_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("root.key");
        let done = AtomicBool::new(false);
        let seen = std::thread::scope(|scope| {
            let watcher = scope.spawn(|| {
                let mut seen = 0;
                while !done.load(Ordering::Relaxed) {
                    if let Ok(metadata) = fs::metadata(&path) {
                        assert_eq!(metadata.len(), LINE_LEN as u64);
                        seen += 1;
                    }
                }
                seen
            });
            for _ in 0..200 {
                RootKey::create_file(&path).unwrap();
                fs::remove_file(&path).unwrap();
            }
            done.store(true, Ordering::Relaxed);
            watcher.join().unwrap()
        });
        println!("seen {seen} times");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "drafts are left behind");
    }

    #[test]
    fn the_documented_form_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("root.key");
        write(&path, &format!("keystead-root-key-v1:{HEX}\n"), 0o400);
        assert_eq!(hex::encode(RootKey::load_file(&path).unwrap().expose()), HEX);
    }

    #[test]
    fn files_open_to_others_are_refused_also_behind_links() {
        let dir = tempfile::tempdir().unwrap();
        let (path, link) = (dir.path().join("root.key"), dir.path().join("link"));
        symlink(&path, &link).unwrap();
        for mode in [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o777] {
            write(&path, &format!("keystead-root-key-v1:{HEX}\n"), mode);
            for name in [&path, &link] {
                let error = RootKey::load_file(name).unwrap_err();
                assert!(
                    matches!(error, RootKeyError::Permissions { mode: shown, .. } if shown == mode),
                    "{error}"
                );
            }
        }
        write(&path, &format!("keystead-root-key-v1:{HEX}\n"), 0o600);
        assert!(RootKey::load_file(&link).is_ok());
        // A link in the place of the new file is not written through.
        assert!(matches!(RootKey::create_file(&link), Err(RootKeyError::Exists { .. })));
    }

    #[test]
    fn other_content_is_refused_without_being_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("root.key");
        let cases = [
            String::new(),
            HEX.to_owned(),
            format!("keystead-root-key-v1:{HEX}"),
            format!("keystead-root-key-v1:{HEX}\n\n"),
            format!("keystead-root-key-v2:{HEX}\n"),
            format!("keystead-root-key-v1:{HEX} "),
            format!("keystead-root-key-v1:{}\n", HEX.replace("00", "zz")),
            "x".repeat(100_000),
        ];
        for content in cases {
            write(&path, &content, 0o600);
            let error = RootKey::load_file(&path).unwrap_err();
            assert!(matches!(error, RootKeyError::Malformed { .. }), "{error}");
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("11223344") && !shown.contains("zz"), "{shown}");
        }
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(RootKey::load_file(dir.path()), Err(RootKeyError::NotAFile { .. })));
        let missing = dir.path().join("none");
        assert!(matches!(RootKey::load_file(&missing), Err(RootKeyError::Missing { .. })));
        let nowhere = dir.path().join("none/root.key");
        assert!(matches!(
            RootKey::create_file(&nowhere),
            Err(RootKeyError::Io { what: "create", .. })
        ));
    }
}
