//! Memory for secrets that outlive a request: root key, domain keys, cached key material.
//!
//! Keys lie in slots of 32 bytes inside regions of their own mappings, each between two
//! inaccessible pages. A region is kept out of core dumps (`MADV_DONTDUMP`), out of forked children
//! (`MADV_DONTFORK`: a child that touches a key faults; `MADV_WIPEONFORK` would let it go on with a
//! key of zeros) and, as far as the limit allows, out of swap (`mlock` of the region, not
//! `mlockall`, which would lock caches too and fail on low limits). [`status`] tells what the
//! system granted. A slot is wiped when its key is dropped and then used again; regions are never
//! unmapped.
//!
//! There are two areas, so that a great number of cached keys cannot take the locked memory of the
//! few keys above them: [`Area::Roots`] in regions of 16 KiB, of which even a limit of 64 KiB
//! allows one, and [`Area::Keys`] in regions of 64 KiB. Both grow by a region when full, up to a
//! ceiling.
#![allow(
    unsafe_code,
    reason = "mapping, locking and handing out memory needs raw pointers; with the calls into AWS-LC the only such module"
)]

use std::ffi::c_void;
use std::fmt;
use std::io;
use std::ptr::{self, NonNull};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::mm::{Advice, MapFlags, MprotectFlags, ProtFlags};
use zeroize::Zeroize;

use crate::error::CryptoError;
use crate::random;

/// Length of every key in the arena, in bytes.
pub const KEY_LEN: usize = 32;

/// Which part of the arena a key belongs to.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Area {
    /// The root key, the domain keys with their sub-keys, and other keys of which a process holds a
    /// few.
    Roots,
    /// Key material, of which a process caches many.
    Keys,
}

/// A 32-byte secret in the arena: wiped on drop, neither cloned nor printed.
pub struct ArenaKey {
    // INVARIANT: the slot is ours alone until it is given back on drop, so `expose` may lend it
    // out.
    slot: Slot,
    pool: &'static Pool,
}

impl ArenaKey {
    /// A new random key, drawn straight into its slot.
    ///
    /// # Errors
    /// [`CryptoError::SecretMemory`] or [`CryptoError::Random`].
    pub fn random(area: Area) -> Result<Self, CryptoError> {
        Self::filled(area, |slot| random::fill_random(slot))
    }

    /// A key that `fill` writes into its slot, so that no copy is left on stack or heap. Whatever a
    /// failing `fill` has written is wiped.
    ///
    /// # Errors
    /// [`CryptoError::SecretMemory`] or those of `fill`.
    pub fn filled<E: From<CryptoError>>(
        area: Area,
        fill: impl FnOnce(&mut [u8; KEY_LEN]) -> Result<(), E>,
    ) -> Result<Self, E> {
        Self::filled_in(Pool::of(area), fill)
    }

    /// The secret bytes. Every call deserves a reason.
    #[must_use]
    pub fn expose(&self) -> &[u8; KEY_LEN] {
        // SAFETY: the slot is mapped, aligned, initialised (mappings begin as zeros) and, by the
        // invariant, written by nobody while `self` is borrowed.
        unsafe { self.slot.0.as_ref() }
    }

    fn filled_in<E: From<CryptoError>>(
        pool: &'static Pool,
        fill: impl FnOnce(&mut [u8; KEY_LEN]) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mut key = Self { slot: pool.take()?, pool };
        // SAFETY: as in `expose`; the key is not shared yet.
        fill(unsafe { key.slot.0.as_mut() })?;
        Ok(key)
    }
}

impl Drop for ArenaKey {
    fn drop(&mut self) {
        // SAFETY: as in `expose`; nobody can hold a borrow of a value being dropped.
        unsafe { self.slot.0.as_mut() }.zeroize();
        self.pool.give_back(self.slot);
    }
}

impl fmt::Debug for ArenaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ArenaKey(..)")
    }
}

/// Maps the first region of both areas, so that the log of the start can tell what the system
/// granted.
///
/// # Errors
/// [`CryptoError::SecretMemory`] when not even the mapping succeeds; a refused lock is no error.
pub fn prepare() -> Result<ArenaStatus, CryptoError> {
    for pool in [&ROOTS, &KEYS] {
        let mut state = pool.state();
        if state.status.mapped == 0 {
            pool.grow(&mut state)?;
        }
    }
    Ok(status())
}

/// How much memory the arena has and what the system granted for it.
#[must_use]
pub fn status() -> ArenaStatus {
    ArenaStatus { roots: ROOTS.state().status, keys: KEYS.state().status }
}

/// The state of the arena, for log and metrics.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct ArenaStatus {
    /// Of [`Area::Roots`].
    pub roots: AreaStatus,
    /// Of [`Area::Keys`].
    pub keys: AreaStatus,
}

impl ArenaStatus {
    /// Whether everything mapped is locked, so that no key can get into swap.
    #[must_use]
    pub fn fully_locked(&self) -> bool {
        [self.roots, self.keys].iter().all(|area| area.locked == area.mapped)
    }

    /// Whether everything mapped is kept out of core dumps.
    #[must_use]
    pub fn fully_undumped(&self) -> bool {
        [self.roots, self.keys].iter().all(|area| area.undumped == area.mapped)
    }
}

impl fmt::Display for ArenaStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "root and domain keys: {}; key material: {}", self.roots, self.keys)
    }
}

/// The state of one area. All figures are bytes.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct AreaStatus {
    /// Memory for keys.
    pub mapped: usize,
    /// Of that, locked into main memory.
    pub locked: usize,
    /// Of that, kept out of core dumps.
    pub undumped: usize,
    /// Of that, holding keys at this moment.
    pub used: usize,
}

impl fmt::Display for AreaStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mapped, locked, undumped, .. } = self;
        write!(f, "{locked} of {mapped} bytes locked, {undumped} kept out of core dumps")
    }
}

/// One area: a list of free slots over some regions.
struct Pool {
    region_len: usize,
    ceiling: usize,
    state: Mutex<State>,
}

struct State {
    // INVARIANT: has the capacity for every slot ever mapped, so that giving back never allocates.
    free: Vec<Slot>,
    status: AreaStatus,
}

#[derive(Copy, Clone)]
struct Slot(NonNull<[u8; KEY_LEN]>);

// SAFETY: a slot is a piece of memory that no thread owns specially. `ArenaKey`, which alone
// dereferences it, follows the borrowing rules by `&self` and `&mut self`.
unsafe impl Send for Slot {}
// SAFETY: as above; a shared slot is only read.
unsafe impl Sync for Slot {}

/// Up to 1 MiB, 32,768 keys.
static ROOTS: Pool = Pool::new(16 << 10, 1 << 20);
/// Up to 128 MiB, four million keys: a ceiling against a leak, far above any cache that makes
/// sense.
static KEYS: Pool = Pool::new(64 << 10, 128 << 20);

impl Pool {
    const fn new(region_len: usize, ceiling: usize) -> Self {
        let status = AreaStatus { mapped: 0, locked: 0, undumped: 0, used: 0 };
        Self { region_len, ceiling, state: Mutex::new(State { free: Vec::new(), status }) }
    }

    fn of(area: Area) -> &'static Self {
        match area {
            Area::Roots => &ROOTS,
            Area::Keys => &KEYS,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic between lock and unlock leaves a shorter free list at worst.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Result<Slot, CryptoError> {
        let mut state = self.state();
        if state.free.is_empty() {
            self.grow(&mut state)?;
        }
        let slot = state.free.pop().ok_or(CryptoError::SecretMemory(io::ErrorKind::OutOfMemory))?;
        state.status.used += KEY_LEN;
        Ok(slot)
    }

    fn give_back(&self, slot: Slot) {
        let mut state = self.state();
        state.status.used -= KEY_LEN;
        state.free.push(slot);
    }

    /// Maps one more region: guard page, slots, guard page.
    fn grow(&self, state: &mut State) -> Result<(), CryptoError> {
        let page = rustix::param::page_size();
        let len = self.region_len.next_multiple_of(page);
        if state.status.mapped + len > self.ceiling {
            return Err(CryptoError::SecretMemory(io::ErrorKind::OutOfMemory));
        }
        // INVARIANT of `State::free`: room for the slots in use, too.
        let slots = (state.status.mapped + len) / KEY_LEN;
        let missing = slots - state.free.len();
        state
            .free
            .try_reserve(missing)
            .map_err(|_| CryptoError::SecretMemory(io::ErrorKind::OutOfMemory))?;

        let region = map_between_guards(len, page)
            .map_err(|error| CryptoError::SecretMemory(error.kind()))?;
        let address = region.as_ptr().cast::<c_void>();
        // SAFETY: the range is exactly the one just mapped; advice and lock change no content. Rust
        // has no reference into it yet.
        let (undumped, unforked, locked) = unsafe {
            (
                rustix::mm::madvise(address, len, Advice::LinuxDontDump).is_ok(),
                rustix::mm::madvise(address, len, Advice::LinuxDontFork).is_ok(),
                rustix::mm::mlock(address, len).is_ok(),
            )
        };
        // Kernels have both kinds of advice or none.
        state.status.undumped += if undumped && unforked { len } else { 0 };
        state.status.locked += if locked { len } else { 0 };
        state.status.mapped += len;
        for index in 0..len / KEY_LEN {
            // SAFETY: index · 32 + 32 ≤ len, so the slot lies inside the region.
            let slot = unsafe { region.add(index * KEY_LEN) };
            state.free.push(Slot(slot.cast()));
        }
        Ok(())
    }
}

fn map_between_guards(len: usize, page: usize) -> io::Result<NonNull<u8>> {
    let total = len + 2 * page;
    // SAFETY: the kernel chooses the place, so no existing mapping is touched. The inner part is
    // made accessible only after it is known to be ours, and a mapping that is of no use is given
    // back whole.
    unsafe {
        let base = rustix::mm::mmap_anonymous(
            ptr::null_mut(),
            total,
            ProtFlags::empty(),
            MapFlags::PRIVATE,
        )?;
        let inner = base.cast::<u8>().add(page);
        if let Err(error) =
            rustix::mm::mprotect(inner.cast(), len, MprotectFlags::READ | MprotectFlags::WRITE)
        {
            // A failure here leaks address space and nothing else.
            let _ = rustix::mm::munmap(base, total);
            return Err(error.into());
        }
        NonNull::new(inner).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::fs;

    fn plant(pool: &'static Pool, byte: u8) -> Result<ArenaKey, CryptoError> {
        ArenaKey::filled_in(pool, |slot| {
            slot.fill(byte);
            Ok(())
        })
    }

    #[test]
    fn a_slot_is_wiped_on_drop_and_used_again() {
        static POOL: Pool = Pool::new(4 << 10, 1 << 20);
        let key = plant(&POOL, 0x5a).unwrap();
        assert_eq!(key.expose(), &[0x5a; 32]);
        let slot = key.slot;
        drop(key);
        // SAFETY: the region stays mapped, and no other test uses this pool.
        assert_eq!(unsafe { slot.0.as_ref() }, &[0; 32]);
        assert_eq!(POOL.state().status.used, 0);
        assert_eq!(plant(&POOL, 1).unwrap().slot.0, slot.0);
    }

    #[test]
    fn a_failed_fill_leaves_nothing_behind() {
        static POOL: Pool = Pool::new(4 << 10, 1 << 20);
        let slot = plant(&POOL, 1).unwrap().slot;
        let failed = ArenaKey::filled_in(&POOL, |out| {
            out.fill(0x77);
            Err(CryptoError::Random)
        });
        assert_eq!(failed.map(|_| ()), Err(CryptoError::Random));
        // SAFETY: as above.
        assert_eq!(unsafe { slot.0.as_ref() }, &[0; 32]);
    }

    #[test]
    fn the_pool_grows_without_overlap_and_stops_at_its_ceiling() {
        static POOL: Pool = Pool::new(4 << 10, 64 << 10);
        let mut keys = Vec::new();
        let refusal = loop {
            match plant(&POOL, u8::try_from(keys.len() % 251).unwrap()) {
                Ok(key) => keys.push(key),
                Err(error) => break error,
            }
        };
        assert_eq!(refusal, CryptoError::SecretMemory(io::ErrorKind::OutOfMemory));
        assert_eq!(keys.len() * KEY_LEN, 64 << 10);
        let places: HashSet<_> = keys.iter().map(|key| key.slot.0).collect();
        assert_eq!(places.len(), keys.len());
        for (index, key) in keys.iter().enumerate() {
            assert!(key.expose().iter().all(|&byte| usize::from(byte) == index % 251));
        }
        // One key back, one key out again.
        keys.pop();
        plant(&POOL, 1).unwrap();
    }

    #[test]
    fn regions_are_kept_out_of_dumps_and_children() {
        let key = ArenaKey::random(Area::Roots).unwrap();
        let flags = mapping_flags(key.expose().as_ptr().addr());
        assert!(flags.contains(&"dd".to_owned()), "in core dumps: {flags:?}");
        assert!(flags.contains(&"dc".to_owned()), "copied on fork: {flags:?}");
        let status = prepare().unwrap();
        assert!(status.fully_undumped(), "{status}");
        assert!(status.roots.used >= KEY_LEN && status.keys.mapped > 0);
        assert_eq!(flags.contains(&"lo".to_owned()), status.roots.locked > 0);
    }

    /// `VmFlags` of the mapping that holds `address`, from proc_pid_smaps(5).
    fn mapping_flags(address: usize) -> Vec<String> {
        let smaps = fs::read_to_string("/proc/self/smaps").unwrap();
        let mut inside = false;
        for line in smaps.lines() {
            let range = line.split(' ').next().and_then(|word| word.split_once('-'));
            if let Some((from, to)) = range
                && let (Ok(from), Ok(to)) =
                    (usize::from_str_radix(from, 16), usize::from_str_radix(to, 16))
            {
                inside = (from..to).contains(&address);
            } else if inside && let Some(flags) = line.strip_prefix("VmFlags:") {
                return flags.split_whitespace().map(str::to_owned).collect();
            }
        }
        Vec::new()
    }

    #[test]
    fn many_threads_share_the_arena() {
        std::thread::scope(|scope| {
            for byte in 1..=8 {
                scope.spawn(move || {
                    for _ in 0..500 {
                        let key = plant(&KEYS, byte).unwrap();
                        assert_eq!(key.expose(), &[byte; 32]);
                    }
                });
            }
        });
    }
}
