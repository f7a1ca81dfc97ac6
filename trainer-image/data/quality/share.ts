/**
 * Lower end of the 95 % interval of a share that was counted as `hits` of `total` (Wilson 1927, the score interval): what
 * a few pairs show by chance passes no threshold.
 */
export function lowerBound(hits: number, total: number): number {
  const z2 = 1.96 ** 2;
  const share = hits / total;
  const spread = 1.96 * Math.sqrt((share * (1 - share)) / total + z2 / (4 * total ** 2));
  return (share + z2 / (2 * total) - spread) / (1 + z2 / total);
}

/**
 * Standard error of such a share: half of Wilson's score interval at z = 1. Unlike the square root of p(1-p)/n it is not 0 where
 * all of a few pairs were won.
 */
export function standardError(share: number, total: number): number {
  return Math.sqrt((share * (1 - share)) / total + 1 / (4 * total ** 2)) / (1 + 1 / total);
}

/** A share for people: 0.0625 -> "6.25 %". */
export const percent = (share: number): string => `${Number((100 * share).toPrecision(3))} %`;
