/** One value on a slice of addresses, for the stacks of the generations `from` to `until`, both included. */
interface Layer<T> {
  value: T;
  from: number;
  until: number;
}

/** From `start` to the next slice's start; the newest layer last. */
interface Slice<T> {
  start: number;
  layers: readonly Layer<T>[];
}

/** Layers that went away and are kept for stacks that were captured before. */
const MOST_RETIRED = 65536;
const FOREVER = Number.POSITIVE_INFINITY;

/**
 * Values on address ranges, the later over the earlier, each answered for the generation that asks. Slices are cut at
 * every range's ends, so a look-up is one binary search and a walk through the few layers there.
 */
export class LayeredRanges<T> {
  #slices: Slice<T>[] = [{ start: Number.NEGATIVE_INFINITY, layers: [] }];
  #retired = 0;
  forgotten = 0;

  constructor(private readonly mostRetired = MOST_RETIRED) {}

  find(address: number, generation: number): T | null {
    const { layers } = this.#slices[this.#at(address)]!;
    for (let i = layers.length - 1; i >= 0; i--) {
      const layer = layers[i]!;
      if (layer.from <= generation && generation <= layer.until) return layer.value;
    }
    return null;
  }

  /** What was put at `address` last, retired or not. */
  newest(address: number): T | null {
    return this.#slices[this.#at(address)]!.layers.at(-1)?.value ?? null;
  }

  /** Whether `value` lies on top of the whole range, not retired. */
  covers(start: number, end: number, value: T): boolean {
    for (let i = this.#at(start); i < this.#slices.length && this.#slices[i]!.start < end; i++) {
      const top = this.#slices[i]!.layers.at(-1);
      if (top?.value !== value || top.until !== FOREVER) return false;
    }
    return true;
  }

  *current(): Generator<T> {
    for (const { layers } of this.#slices) {
      const top = layers.at(-1);
      if (top?.until === FOREVER) yield top.value;
    }
  }

  put(start: number, end: number, value: T, generation: number): void {
    this.#change(start, end, (layers) => {
      const top = layers.at(-1);
      const layer = { value, from: generation, until: FOREVER };
      if (top === undefined) return [layer];
      const below = layers.slice(0, -1);
      if (top.value === value) {
        // It comes back where nothing else lay meanwhile: the time between is its own too.
        if (top.until !== FOREVER) this.#retired--;
        return [...below, { ...layer, from: Math.min(top.from, generation) }];
      }
      if (top.until !== FOREVER) return [...layers, layer];
      this.#retired++;
      return [...below, { ...top, until: Math.max(top.from, generation) }, layer];
    });
    if (this.#retired > this.mostRetired) this.#forget();
  }

  /** Ends what lies on the range: stacks of generations after `generation` don't find it. */
  retire(start: number, end: number, generation: number): void {
    this.#change(start, end, (layers) => {
      const top = layers.at(-1);
      if (top?.until !== FOREVER) return layers;
      this.#retired++;
      return [...layers.slice(0, -1), { ...top, until: Math.max(top.from, generation) }];
    });
    if (this.#retired > this.mostRetired) this.#forget();
  }

  /** Drops the older half of what is retired, by the generation of its end. */
  #forget(): void {
    const isRetired = (layer: Layer<T>) => layer.until !== FOREVER;
    const ends = this.#slices.flatMap(({ layers }) => layers.filter(isRetired).map(({ until }) => until));
    ends.sort((a, b) => a - b);
    const limit = ends[ends.length >> 1] ?? 0;
    const slices: Slice<T>[] = [];
    let kept = 0;
    for (const { start, layers } of this.#slices) {
      const rest = layers.filter(({ until }) => until > limit);
      kept += rest.filter(isRetired).length;
      if (rest.length === 0 && slices.at(-1)?.layers.length === 0) continue;
      slices.push({ start, layers: rest });
    }
    this.forgotten += ends.length - kept;
    this.#retired = kept;
    this.#slices = slices;
  }

  #change(start: number, end: number, change: (layers: readonly Layer<T>[]) => readonly Layer<T>[]): void {
    if (!(start < end)) return;
    const first = this.#cut(start);
    const last = this.#cut(end);
    for (let i = first; i < last; i++) {
      const slice = this.#slices[i]!;
      slice.layers = change(slice.layers);
    }
  }

  /** Makes a slice begin at `address` and says which. */
  #cut(address: number): number {
    const i = this.#at(address);
    const slice = this.#slices[i]!;
    if (slice.start === address) return i;
    this.#slices.splice(i + 1, 0, { start: address, layers: slice.layers });
    return i + 1;
  }

  /** The slice that holds `address`. */
  #at(address: number): number {
    let low = 0;
    let high = this.#slices.length;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if (this.#slices[middle]!.start <= address) low = middle;
      else high = middle;
    }
    return low;
  }
}
