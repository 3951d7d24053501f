export const FLAMEGRAPH_FORMATS = ['html', 'svg', 'folded', 'speedscope.json', 'pb.gz'] as const;
export type FlamegraphFormat = (typeof FLAMEGRAPH_FORMATS)[number];

/** What a file of a format holds: text, or bytes. */
export type FlamegraphFile<F extends FlamegraphFormat> = F extends 'pb.gz' ? Uint8Array : string;
