import type { Fault } from './fault.ts';

/** What only a GPU has by itself: padding and bfloat16. */
export const devices: Fault[] = [
  {
    title: 'attention sees the padding behind a prompt',
    file: 'model/padded-attention.ts',
    find: "return hide(ops.greaterEqual(key, constant([0], [1], 'float32')), within);",
    replace: 'return within;',
    tests: 'trainer-image/model/padded',
  },
  {
    title: 'in a padded group the second answer sees the first',
    file: 'model/padded-attention.ts',
    find: 'hide(ops.greaterEqual(seen, asker), ops.scalar(0))',
    replace: 'ops.scalar(0)',
    tests: 'trainer-image/model/padded',
  },
  {
    title: "the head's filling has a slope",
    file: 'model/head.ts',
    find: '  result.set(values);\n',
    replace: '  result.fill(1).set(values);\n',
    tests: 'trainer-image/model/padded',
  },
  {
    title: 'the token budget does not count padding',
    file: 'model/groups.ts',
    find: 'return roundsShapes() ? () => paddedTokens(groupOf) :',
    replace: 'return',
    tests: 'trainer-image/model/padded',
  },
  {
    title: 'bf16 multiplies float32',
    file: 'model/products.ts',
    find: "precision === 'fp32' || x.dtype",
    replace: 'precision !== undefined || x.dtype',
    tests: 'trainer-image/model/bf16',
  },
  {
    title: 'frozen weights that bfloat16 does not hold are rounded to it',
    file: 'model/network.ts',
    find: "!== 0) return 'float32';",
    replace: "!== 0) return 'bfloat16';",
    tests: 'trainer-image/model/bf16',
  },
  {
    title: 'a checkpoint belongs to any precision',
    file: 'stages/data.ts',
    find: 'const training = { ...run.job.spec.training, precision };',
    replace: "const training = { ...run.job.spec.training, precision: precision && 'auto' };",
    tests: 'runs/compute-plan',
    named: 'belongs to the precision',
  },
  {
    title: 'blocks that are run again keep what they computed',
    file: 'model/network.ts',
    find: 'layer >= count || (keepsFirst && first)',
    replace: 'true',
    tests: 'trainer-image/model/recompute',
  },
  {
    title: 'a block more keeps what it computed than there is room for',
    file: 'model/recompute.ts',
    find: 'Math.ceil((all * layers - budget)',
    replace: 'Math.floor((all * layers - budget)',
    tests: 'trainer-image/model/recompute',
  },
  {
    title: 'blocks that are run again keep nothing of attention',
    file: 'model/network.ts',
    find: 'layer >= count || (keepsFirst && first)',
    replace: 'layer >= count',
    tests: 'trainer-image/model/recompute',
  },
];
