//! Maps through generic functions that the compiler inlines into one another, waits for a line, and ends.

use std::io::{Read, Write};

extern "C" {
    fn mmap(at: *mut u8, bytes: usize, access: i32, flags: i32, file: i32, offset: i64) -> *mut u8;
}

struct Pool<T> {
    first: *mut T,
}

impl<T: Default> Pool<T> {
    #[inline(always)]
    fn grow(&mut self, bytes: usize) {
        // Readable and writable; private and anonymous.
        let mapped = unsafe { mmap(std::ptr::null_mut(), bytes, 3, 0x22, -1, 0) }; // at: grow
        self.first = mapped.cast();
        unsafe { self.first.write(T::default()) };
    }
}

#[inline(always)]
fn fill<T: Default, const BYTES: usize>(pool: &mut Pool<T>) {
    pool.grow(BYTES); // at: fill
    println!("filled {:p}", pool.first);
}

#[inline(never)]
fn open(pool: &mut Pool<u64>) {
    fill::<u64, { 3 << 20 }>(pool); // at: open
    println!("opened");
}

fn main() {
    let mut pool = Pool { first: std::ptr::null_mut() };
    open(&mut pool); // at: main
    println!("READY");
    std::io::stdout().flush().unwrap();
    let _ = std::io::stdin().read(&mut [0]);
}
