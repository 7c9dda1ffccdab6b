//! How the allocator gives memory back.

/// Freed at once if it is at least this large, bytes: the tables of an interval are, keys
/// are not.
#[cfg(target_env = "gnu")]
const LARGE: libc::c_int = 256 << 10;

/// Has large tables given back to the system when they are freed. glibc's malloc raises its
/// own bound each time such a block is freed, up to 32 MB, and then keeps a table's memory
/// for the next while another thread's part of the heap grows by as much (mallopt(3),
/// `M_MMAP_THRESHOLD` and `M_ARENA_MAX`). Threads share one heap: what one thread makes and
/// another frees is the first one's again, and no event needs the heap.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "no library at hand sets malloc's parameters")]
pub(super) fn give_back_large_tables() {
    // SAFETY: takes plain numbers; no other thread runs yet. Where one is refused, the
    // default stays.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, LARGE);
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Only glibc's malloc is known to need it.
#[cfg(not(target_env = "gnu"))]
pub(super) fn give_back_large_tables() {}
