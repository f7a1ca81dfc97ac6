/**
 * Packs items into blocks of at most `capacity` by best fit, longest first (TRL's packing strategy "bfd"): each goes into
 * the block that it fills most, or opens one. Returns the items of each block by index, in their own order.
 * Throws RangeError when an item is longer than a block.
 */
export function packBlocks(lengths: readonly number[], capacity: number): number[][] {
  const longestFirst = lengths.map((_, i) => i).toSorted((a, b) => (lengths[b] as number) - (lengths[a] as number));
  const open = new Rooms(capacity);
  const blocks: number[][] = [];
  for (const item of longestFirst) {
    const length = lengths[item] as number;
    if (length > capacity) throw new RangeError(`an item of ${length} does not fit in a block of ${capacity}`);
    const found = open.takeLeast(length);
    if (found === undefined) blocks.push([]);
    const { block, room } = found ?? { block: blocks.length - 1, room: capacity };
    blocks[block]?.push(item);
    open.put(block, room - length);
  }
  for (const block of blocks) block.sort((a, b) => a - b);
  return blocks.toSorted(([a = 0], [b = 0]) => a - b);
}

/** Blocks by the room that is left in them, with the least room that is enough found in logarithmic time. */
class Rooms {
  private readonly size: number;
  /** A binary tree over rooms 0..size-1: how many blocks lie below each node. */
  private readonly counts: Uint32Array;
  private readonly blocks = new Map<number, number[]>();

  constructor(capacity: number) {
    this.size = 2 ** Math.ceil(Math.log2(capacity + 1));
    this.counts = new Uint32Array(2 * this.size);
  }

  put(block: number, room: number): void {
    const known = this.blocks.get(room);
    if (known === undefined) this.blocks.set(room, [block]);
    else known.push(block);
    this.count(room, 1);
  }

  /** Takes out a block with the least room that is at least `length`; of several the one put first. */
  takeLeast(length: number): { block: number; room: number } | undefined {
    const room = this.least(length);
    if (room === undefined) return undefined;
    this.count(room, -1);
    return { block: this.blocks.get(room)?.shift() as number, room };
  }

  private count(room: number, change: number): void {
    for (let node = this.size + room; node > 0; node >>= 1) this.counts[node] = (this.counts[node] as number) + change;
  }

  private least(length: number): number | undefined {
    let node = this.size + length;
    // Up and to the right until a subtree holds a block, then down along its left edge.
    while (node > 0 && this.counts[node] === 0) {
      while (node % 2 === 1) node >>= 1;
      if (node === 0) return undefined;
      node += 1;
    }
    while (node < this.size) node = 2 * node + (this.counts[2 * node] === 0 ? 1 : 0);
    return node - this.size;
  }
}
