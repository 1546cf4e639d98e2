//! Lines of memory that will be needed soon. A worker with a thousand calls finds few of their lines in
//! its cache: asked for together and ahead, they come in the time of one.

/// Octets of a line.
const LINE_OCTETS: usize = 64;

/// Asks for the lines of a value. Nothing is read: it does not matter what the value is by then.
#[inline]
pub fn prefetch<T>(value: &T) {
    let start = std::ptr::from_ref(value).cast::<i8>();
    for offset in (0..size_of::<T>()).step_by(LINE_OCTETS) {
        prefetch_line(start.wrapping_add(offset));
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn prefetch_line(address: *const i8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: the instruction loads nothing that the program could see and never faults, whatever the
    // address is; every processor of this architecture has it.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address) };
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
const fn prefetch_line(_address: *const i8) {}
