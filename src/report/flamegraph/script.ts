/**
 * The picture's own script, for the SVG and the HTML page alike: click zooms, search marks, hover tells; the page has a
 * second picture, with plumbing unfolded. Frames carry their extent as integers (`data-start`, `data-bytes`), so that
 * containment is exact. It only ever sets text and attributes: no name is read as markup.
 */
export const FLAME_SCRIPT = `
'use strict';
(() => {
  const part = (name) => document.getElementById('flame-' + name);
  const percent = (share) => (100 * share).toFixed(4) + '%';
  const say = (name, text) => { if (part(name)) part(name).textContent = text; };
  const show = (element, shown) => { if (element) element.style.display = shown ? '' : 'none'; };

  const picture = (flame) => {
    const frames = [...flame.querySelectorAll('.frame')].map((element) => ({
      element,
      depth: Number(element.dataset.depth),
      start: Number(element.dataset.start),
      end: Number(element.dataset.start) + Number(element.dataset.bytes),
      text: element.querySelector('title').textContent,
    }));
    const whole = frames[0];
    let zoomed = whole;

    const zoom = (target) => {
      zoomed = target;
      const size = target.end - target.start || 1;
      for (const { element, depth, start, end } of frames) {
        const above = depth < target.depth && start <= target.start && end >= target.end;
        const inside = depth >= target.depth && start >= target.start && end <= target.end;
        element.classList.toggle('above', above);
        element.classList.toggle('outside', !above && !inside);
        element.setAttribute('x', above ? '0%' : percent((start - target.start) / size));
        element.setAttribute('width', above ? '100%' : percent((end - start) / size));
      }
      show(part('reset'), target !== whole);
    };

    const search = (wanted) => {
      const needle = wanted.trim().toLowerCase();
      flame.classList.toggle('searching', needle !== '');
      let matched = 0;
      let covered = 0;
      const hits = frames.filter((frame) => {
        const hit = needle !== '' && frame.text.toLowerCase().includes(needle);
        frame.element.classList.toggle('match', hit);
        return hit;
      });
      // A match inside a match covers the same bytes: count what lies outside the last one only.
      for (const { start, end } of hits.sort((a, b) => a.start - b.start || b.end - a.end)) {
        matched += Math.max(0, end - Math.max(start, covered));
        covered = Math.max(covered, end);
      }
      const share = matched / (whole.end - whole.start || 1);
      say('matched', needle === '' ? '' : hits.length + ' frames match, ' + (100 * share).toFixed(1) + ' % of the bytes');
    };

    const frameAt = (event) => {
      const element = event.target.closest && event.target.closest('.frame');
      return element && frames.find((frame) => frame.element === element);
    };
    flame.addEventListener('click', (event) => {
      const frame = frameAt(event);
      if (!frame) return;
      say('details', frame.text);
      zoom(frame === zoomed ? whole : frame);
    });
    flame.addEventListener('mouseover', (event) => {
      const frame = frameAt(event);
      if (frame) say('details', frame.text);
    });
    if (flame.dataset.fluid) flame.setAttribute('width', '100%');
    zoom(whole);
    return { flame, reset: () => zoom(whole), search };
  };

  const flames = [...document.querySelectorAll('.flame')].filter((flame) => flame.querySelector('.frame'));
  const pictures = flames.map(picture);
  if (pictures.length === 0) return;
  let shown = 0;
  let wanted = '';
  const search = (text) => {
    wanted = text;
    pictures[shown].search(text);
  };
  const turn = () => {
    shown = (shown + 1) % pictures.length;
    for (const [index, { flame }] of pictures.entries()) show(flame, index === shown);
    pictures[shown].reset();
    search(wanted);
    part('fold').setAttribute('aria-pressed', String(shown === 0));
  };

  if (part('reset')) part('reset').addEventListener('click', () => pictures[shown].reset());
  if (part('fold')) part('fold').addEventListener('click', turn);
  const input = part('search');
  const isField = input && 'value' in input;
  const ask = () => search(prompt('Search functions and modules') || '');
  if (isField) input.addEventListener('input', () => search(input.value));
  else if (input) input.addEventListener('click', ask);
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') { pictures[shown].reset(); search(''); if (isField) input.value = ''; }
    if (event.target === input) return;
    if (event.key === '/') {
      event.preventDefault();
      if (isField) input.focus(); else ask();
    }
    if (event.key === 'u' && part('fold') && !event.ctrlKey && !event.metaKey) turn();
  });
})();
`;
