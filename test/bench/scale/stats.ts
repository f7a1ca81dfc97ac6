/** The value below or at which a share of all values lies (nearest rank). Throws RangeError where there are none. */
export function percentile(values: readonly number[], share: number): number {
  if (values.length === 0) throw new RangeError('there is no value');
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] as number;
}

/** Slope of the line through the points with the least squares: y per x. */
export function slope(points: readonly (readonly [x: number, y: number])[]): number {
  const mean = (of: (point: readonly [number, number]) => number): number =>
    points.reduce((sum, point) => sum + of(point), 0) / points.length;
  const [x, y] = [mean((point) => point[0]), mean((point) => point[1])];
  return mean((point) => (point[0] - x) * (point[1] - y)) / mean((point) => (point[0] - x) ** 2);
}

/** A sample of a metric in Prometheus' text format. */
export interface Sample {
  labels: Readonly<Record<string, string>>;
  value: number;
}

/** The samples of one name. */
export function samplesOf(text: string, name: string): Sample[] {
  return text
    .split('\n')
    .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
    .map((line) => {
      const pairs = [...line.matchAll(/([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g)];
      return {
        labels: Object.fromEntries(pairs.map(([, key = '', value = '']) => [key, value])),
        value: Number(line.slice(line.lastIndexOf(' ') + 1)),
      };
    });
}

/** By how much the samples of a name have grown from one text to the next, summed by a label. */
export function growth(before: string, after: string, name: string, label: string): Record<string, number> {
  const sums: Record<string, number> = {};
  const add = (text: string, sign: number): void => {
    for (const { labels, value } of samplesOf(text, name)) {
      const key = labels[label] ?? '';
      sums[key] = (sums[key] ?? 0) + sign * value;
    }
  };
  add(after, 1);
  add(before, -1);
  return sums;
}

/** The bucket bound below or at which a share of what a histogram counted between two texts lies. */
export function bucketOf(before: string, after: string, name: string, share: number): number {
  const counts = Object.entries(growth(before, after, `${name}_bucket`, 'le'))
    .map(([bound, count]) => [bound === '+Inf' ? Infinity : Number(bound), count] as const)
    .toSorted((a, b) => a[0] - b[0]);
  const all = counts.at(-1)?.[1] ?? 0;
  return counts.find(([, count]) => count >= share * all)?.[0] ?? NaN;
}
