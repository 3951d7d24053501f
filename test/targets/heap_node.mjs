// heap_node.mjs: a little of all that makes node allocate outside of its collected heap.
import { createHash } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import { deflateSync, inflateSync } from 'node:zlib';

const text = JSON.stringify(
  Array.from({ length: 20_000 }, (_, i) => ({ [`key${i}`]: i, text: 'x'.repeat(i % 50) })),
);
const back = inflateSync(deflateSync(text)).toString();
const hash = createHash('sha256');
for (let i = 0; i < 20_000; i++) hash.update(Buffer.alloc((i * 37) % 9000, i));
const words = new Set(back.split('"').map((word) => word.normalize('NFD')));
await new Promise((resolve, reject) => {
  const body =
    'const kept = []; for (let i = 0; i < 5000; i++) kept.push(Buffer.alloc(9000, i)); process.exitCode = 0';
  new Worker(body, { eval: true }).on('exit', resolve).on('error', reject);
});
console.log(hash.digest('hex').slice(0, 8), words.size);
