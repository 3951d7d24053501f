// A Node program: objects for the collector, buffers outside its heap, workers that come and go.
import { once } from 'node:events';
import { isMainThread, Worker } from 'node:worker_threads';

const ROUNDS = 100;
const KEPT_BUFFERS = 16;
const BUFFER_BYTES = 1 << 20;

function churn() {
  let garbage = [];
  for (let i = 0; i < ROUNDS; ++i) {
    garbage.push(Buffer.alloc(BUFFER_BYTES, 1), new Array(10_000).fill(i));
    if (garbage.length > 20) garbage = [];
  }
}

churn();
if (isMainThread) {
  for (let i = 0; i < 2; ++i) await once(new Worker(new URL(import.meta.url)), 'exit');
  const kept = Array.from({ length: KEPT_BUFFERS }, () => Buffer.alloc(BUFFER_BYTES, 1));
  console.log(`kept_bytes ${kept.length * BUFFER_BYTES}`);
  console.log('READY');
}
