// A Rust program with nothing but std: large vectors come and go in several threads, and each thread keeps one. With `hold`
// as its argument it then waits for the end of its input.
use std::{env, io, thread};

const BLOCK_BYTES: usize = 1 << 20;
const ROUNDS: usize = 200;
const THREADS: usize = 4;

/// A vector whose pages have all been written.
fn touched(bytes: usize) -> Vec<u8> {
    let mut block = vec![0u8; bytes];
    for byte in block.iter_mut().step_by(4096) {
        *byte = 1;
    }
    block
}

fn churn(seed: usize) -> Vec<u8> {
    for round in 0..ROUNDS {
        let block = touched(BLOCK_BYTES + (round * 37 + seed) % 64 * 4096);
        std::hint::black_box(&block);
    }
    touched(4 * BLOCK_BYTES)
}

fn main() {
    let threads: Vec<_> = (0..THREADS).map(|seed| thread::spawn(move || churn(seed))).collect();
    let kept: Vec<Vec<u8>> = threads.into_iter().map(|thread| thread.join().expect("a thread panicked")).collect();
    println!("kept_bytes {}", kept.iter().map(Vec::len).sum::<usize>());
    println!("READY");
    if env::args().any(|argument| argument == "hold") {
        io::copy(&mut io::stdin(), &mut io::sink()).expect("its input can't be read");
    }
    std::hint::black_box(&kept);
}
