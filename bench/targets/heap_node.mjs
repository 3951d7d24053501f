// heap_node.mjs ROUNDS: work that reaches malloc in Node: buffers, compression, hashes, JSON, URLs, regular expressions.
import { createCipheriv, createHash } from 'node:crypto';
import { deflateSync, inflateSync } from 'node:zlib';

const rounds = Number(process.argv[2]);
const key = Buffer.alloc(32, 7);
const vector = Buffer.alloc(16, 3);
const kept = [];
let sum = 0;
for (let round = 0; round < rounds; round++) {
  const records = Array.from({ length: 60 }, (_, i) => ({
    id: round + i,
    name: `record-${i}`,
    tags: ['a', 'b', i],
  }));
  const text = JSON.stringify(records);
  sum += JSON.parse(text).length;
  const packed = deflateSync(text, { level: 1 });
  sum += inflateSync(packed).length;
  for (let i = 0; i < 20; i++) {
    sum += createHash('sha1').update(`${round}:${i}`).digest()[0];
    sum += new URL(`https://example.org/${round}/${i}?q=${i}`).pathname.length;
    kept.push(Buffer.allocUnsafeSlow(200 + ((round * 31 + i) % 4000)));
  }
  const cipher = createCipheriv('aes-256-cbc', key, vector);
  sum += Buffer.concat([cipher.update(text), cipher.final()]).length;
  while (kept.length > 2000) kept.shift();
}
if (sum === 0) process.exitCode = 1;
