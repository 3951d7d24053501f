// Maps memory from JavaScript functions: a buffer of 64 MiB is malloc's own mapping.
// Usage: jit_node.js [WARMUP], the number of calls before, by which the functions get compiled.

const BYTES = 64 << 20;

function grow(bytes) {
  return new ArrayBuffer(bytes);
}

class Cache {
  fill(bytes) {
    return grow(bytes);
  }
}

const cache = new Cache();
const handle = (bytes) => cache.fill(bytes);

// By itself: a function that is compiled while it runs may lose its name on the way back.
function warmUp(calls) {
  for (let call = 0; call < calls; call++) handle(8);
}

function main() {
  warmUp(Number(process.argv[2] ?? 0));
  const kept = handle(BYTES);
  console.log(`READY ${process.pid}`);
  process.stdin.resume();
  process.stdin.on('end', () => process.exit(kept.byteLength === BYTES ? 0 : 1));
}

main();
