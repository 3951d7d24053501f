import fc from 'fast-check';

// The same cases each time: what fails can be run again, and what has passed does not fail by chance. Others: OFFHEAP_SEED.
fc.configureGlobal({ seed: Number(process.env.OFFHEAP_SEED ?? 1) });

export default fc;
