//! The operating system's bound of open files, and how many connections fit under it.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that are no client's: the store with its readers, the admin listener's connections, logs,
/// and what a checkpoint or a rewrite of the store opens for a moment.
const RESERVED: u64 = 96;

/// Raises the soft bound of open files to the hard one, and answers how many of the wanted
/// `connections` may be open without taking files that store and admin listener need.
pub(crate) fn fit(connections: u32) -> u32 {
    let bound = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: bound.maximum, maximum: bound.maximum };
    let files = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => bound.maximum,
        Err(_) => bound.current,
    };
    let fitting = share(files, connections);
    if fitting < connections {
        tracing::warn!(
            connections = fitting,
            wanted = connections,
            open_files = files,
            "fewer connections than configured: the bound of open files (ulimit -n) is low"
        );
    }
    fitting
}

/// `None`: unbounded. A quarter remains for clients where the bound is lower than what is reserved.
fn share(files: Option<u64>, connections: u32) -> u32 {
    let Some(files) = files else { return connections };
    let room = files.saturating_sub(RESERVED).max(files / 4).max(1);
    u32::try_from(room).map_or(connections, |room| room.min(connections))
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn connections_leave_files_for_the_rest() {
        assert_eq!(share(None, 1024), 1024);
        assert_eq!(share(Some(1 << 40), 1024), 1024);
        assert_eq!(share(Some(1024), 1024), 928);
        assert_eq!(share(Some(1024), 100), 100);
        assert_eq!(share(Some(64), 1024), 16);
        assert_eq!(share(Some(0), 1024), 1);
    }
}
