/** Index of the first of rising numbers that is not below `value`; their count where all are. */
function notBelow(rising: Float64Array | Uint32Array, value: number): number {
  let [low, high] = [0, rising.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((rising[middle] as number) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Index of a number among rising ones, the first where it stands several times; -1 where it is not there. */
export function indexOf(rising: Float64Array | Uint32Array, value: number): number {
  const at = notBelow(rising, value);
  return rising[at] === value ? at : -1;
}

const none = 0xffff_ffff;

/** Where each of some keys stands first, in 12 bytes a key: a Map takes several times that, and has an end. */
export class FirstPlaces {
  private readonly sorted: Float64Array;
  private readonly places: Uint32Array;

  constructor(keys: Float64Array) {
    this.sorted = keys.toSorted();
    this.places = new Uint32Array(keys.length).fill(none);
    keys.forEach((key, place) => {
      const at = indexOf(this.sorted, key);
      if (this.places[at] === none) this.places[at] = place;
    });
  }

  of(key: number): number | undefined {
    const at = indexOf(this.sorted, key);
    return at < 0 ? undefined : this.places[at];
  }
}
