import { html, Html } from './html.ts';

export interface Point {
  step: number;
  value: number;
}

export interface Line {
  name: string;
  /** Class of the style sheet: the colour. */
  style: 'policy' | 'heldOut' | 'second';
  points: readonly Point[];
}

export interface Chart {
  title: string;
  /** What to read from it. */
  note: string;
  lines: readonly Line[];
}

const size = { width: 560, height: 240, left: 52, right: 12, top: 10, bottom: 26 };
/** More points than this are joined: a curve has no more pixels. */
const most = 400;

/** At most `most` points: means of as many neighbours each as needed. */
export function thin(points: readonly Point[]): Point[] {
  const each = Math.ceil(points.length / most);
  if (each <= 1) return [...points];
  return Array.from({ length: Math.ceil(points.length / each) }, (_, i) => {
    const part = points.slice(i * each, (i + 1) * each);
    const mean = (of: (point: Point) => number): number =>
      part.reduce((sum, point) => sum + of(point), 0) / part.length;
    return { step: mean(({ step }) => step), value: mean(({ value }) => value) };
  });
}

/** Round numbers from `low` to `high`, about `count` of them: 1, 2 or 5 times a power of ten apart. */
export function ticks(low: number, high: number, count = 5): number[] {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const spacing = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10);
  const first = Math.ceil(low / spacing - 1e-9);
  const last = Math.floor(high / spacing + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * spacing).toPrecision(12)));
}

interface Scale {
  x: (step: number) => number;
  y: (value: number) => number;
  steps: number[];
  values: number[];
}

function scaleOf(points: readonly Point[]): Scale {
  const [steps, values] = [points.map(({ step }) => step), points.map(({ value }) => value)];
  const [first, last] = [Math.min(...steps), Math.max(...steps)];
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const margin = (high - low || Math.abs(high) || 1) * 0.06;
  const [from, to] = [low - margin, high + margin];
  const { width, height, left, right, top, bottom } = size;
  return {
    x: (step) => left + ((step - first) / (last - first || 1)) * (width - left - right),
    y: (value) => height - bottom - ((value - from) / (to - from)) * (height - top - bottom),
    steps: ticks(first, last, 6),
    values: ticks(from, to, 5),
  };
}

const at = (value: number): string => value.toFixed(1);

function grid({ x, y, steps, values }: Scale): Html[] {
  const { width, height, left, right, bottom } = size;
  const rows = values.map(
    (value) =>
      html`<line class="grid" x1="${left}" x2="${width - right}" y1="${at(y(value))}" y2="${at(y(value))}" />
        <text class="tick" x="${left - 6}" y="${at(y(value) + 4)}" text-anchor="end">${value}</text>`,
  );
  const columns = steps.map(
    (step) =>
      html`<text class="tick" x="${at(x(step))}" y="${height - bottom + 18}" text-anchor="middle">${step}</text>`,
  );
  return [...rows, ...columns];
}

function drawn({ name, style, points }: Line, { x, y }: Scale): Html {
  const path = points.map(({ step, value }) => `${at(x(step))},${at(y(value))}`).join(' ');
  const dots = style === 'policy' || points.length > 40 ? [] : points;
  return html`<g class="${style}"
    ><title>${name}</title><polyline points="${path}" />${dots.map(
      ({ step, value }) => html`<circle cx="${at(x(step))}" cy="${at(y(value))}" r="2.6" />`,
    )}</g
  >`;
}

/** The chart as inline SVG with its legend; nothing where there are no points. */
export function figure({ title, note, lines }: Chart): Html {
  const thinned = lines
    .map((line) => ({ ...line, points: thin(line.points) }))
    .filter(({ points }) => points.length > 0);
  if (thinned.length === 0) return html``;
  const scale = scaleOf(thinned.flatMap(({ points }) => points));
  const legend = thinned.map(({ name, style }) => html`<span class="key ${style}">${name}</span>`);
  return html`<figure>
    <figcaption><b>${title}</b>${legend}</figcaption>
    <svg viewBox="0 0 ${size.width} ${size.height}" role="img" aria-label="${title} by step">
      ${grid(scale)}${thinned.map((line) => drawn(line, scale))}
    </svg>
    <p class="note">${note}</p>
  </figure>`;
}
