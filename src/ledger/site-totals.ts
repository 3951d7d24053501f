/** What one site holds: anonymous and shared memory; file mappings are counted apart. */
export interface SiteTotal {
  site: number;
  bytes: number;
  /** The part of `bytes` that is PROT_NONE: addresses reserved, nothing that can be touched. */
  reservedBytes: number;
  /** Live ranges, split pieces counted each. */
  ranges: number;
}

/** Running sums, by site and over all; every change costs the same, however much is live. */
export class SiteTotals {
  #bytes = new Float64Array(64);
  #reservedBytes = new Float64Array(64);
  #ranges = new Float64Array(64);
  #sites = 0;

  liveBytes = 0;
  liveRanges = 0;
  reservedBytes = 0;
  fileBytes = 0;
  fileRanges = 0;

  change(site: number, bytes: number, reservedBytes: number, ranges: number): void {
    if (site >= this.#sites) this.#reach(site);
    this.#bytes[site]! += bytes;
    this.#reservedBytes[site]! += reservedBytes;
    this.#ranges[site]! += ranges;
    this.liveBytes += bytes;
    this.reservedBytes += reservedBytes;
    this.liveRanges += ranges;
  }

  changeFile(bytes: number, ranges: number): void {
    this.fileBytes += bytes;
    this.fileRanges += ranges;
  }

  bytes(site: number): number {
    return this.#bytes[site] ?? 0;
  }

  *sites(): IterableIterator<SiteTotal> {
    for (let site = 0; site < this.#sites; site++) {
      const ranges = this.#ranges[site]!;
      if (ranges === 0) continue;
      yield { site, bytes: this.#bytes[site]!, reservedBytes: this.#reservedBytes[site]!, ranges };
    }
  }

  clone(): SiteTotals {
    const copy = new SiteTotals();
    copy.#bytes = this.#bytes.slice();
    copy.#reservedBytes = this.#reservedBytes.slice();
    copy.#ranges = this.#ranges.slice();
    copy.#sites = this.#sites;
    copy.liveBytes = this.liveBytes;
    copy.liveRanges = this.liveRanges;
    copy.reservedBytes = this.reservedBytes;
    copy.fileBytes = this.fileBytes;
    copy.fileRanges = this.fileRanges;
    return copy;
  }

  #reach(site: number): void {
    this.#sites = site + 1;
    if (site < this.#bytes.length) return;
    const sites = 2 ** Math.ceil(Math.log2(site + 1));
    this.#bytes = grown(this.#bytes, sites);
    this.#reservedBytes = grown(this.#reservedBytes, sites);
    this.#ranges = grown(this.#ranges, sites);
  }
}

function grown(column: Float64Array, length: number): Float64Array<ArrayBuffer> {
  const larger = new Float64Array(length);
  larger.set(column);
  return larger;
}
