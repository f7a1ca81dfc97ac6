import { attribute } from './attribute.ts';
import { kernels, lettersOf, type Product } from './kernels.ts';
import { constant, elements, execute, scalar, type DType, type Tensor } from './tensor.ts';

type Unary = (x: Tensor) => Tensor;
type Binary = (a: Tensor, b: Tensor) => Tensor;
type Reduce = (x: Tensor, axis: number, keepDims?: boolean) => Tensor;

const one = (tensors: Tensor[]): Tensor => tensors[0] as Tensor;
const index = attribute.type;
const axes = (values: readonly number[]): Tensor => constant(values, [values.length], 'int32');
const int = (value: number): Tensor => constant([value], [], 'int32');

const unary =
  (op: string): Unary =>
  (x) =>
    one(execute(op, [index('T', x.dtype)], [x]));
const binary =
  (op: string): Binary =>
  (a, b) =>
    one(execute(op, [index('T', a.dtype)], [a, b]));
const reduce =
  (op: string): Reduce =>
  (x, axis, keepDims = true) => {
    const attributes = [attribute.bool('keep_dims', keepDims), index('T', x.dtype), index('Tidx', 'int32')];
    return one(execute(op, attributes, [x, axes([axis])]));
  };

/** Rows, depth and columns of a product, where it is one of two float32 matrices that fit. */
function sizesOf({ a, b, transposeA = false, transposeB = false }: Product): [number, number, number] | undefined {
  if (![a, b].every(isMatrix)) return undefined;
  const [rows, depth] = turned(a, transposeA) as [number, number];
  const [inner, columns] = turned(b, transposeB) as [number, number];
  return depth === inner ? [rows, depth, columns] : undefined;
}

const isMatrix = ({ shape, dtype }: Tensor): boolean => shape.length === 2 && dtype === 'float32';
const turned = ({ shape }: Tensor, transposed: boolean): number[] => (transposed ? shape.toReversed() : [...shape]);

/** Where our own product takes no more time than TensorFlow's: it lays both matrices out anew, in panels of 32 rows or columns. */
const worthwhile = (sizes: readonly number[]): boolean => Math.min(...sizes) >= 16 && elements(sizes) >= 128 ** 3;

/** Our own sum of these, whose factors are given transposed alike, where there is one and it pays. */
function ownSum(products: readonly Product[], sum: Tensor | undefined): Tensor | undefined {
  const own = kernels()?.matmul;
  if (own === undefined) return undefined;
  const sizes = products.map(sizesOf).filter((each) => each !== undefined);
  const results = sizes.map(([rows, , columns]) => [rows, columns]);
  const shapes = [...results, ...(sum === undefined ? [] : [sum.shape])].map(String);
  const fit = sizes.length === products.length && new Set(shapes).size === 1;
  return fit && sizes.some(worthwhile) ? own(products, sum) : undefined;
}

function standardProduct({ a, b, transposeA = false, transposeB = false }: Product): Tensor {
  const flags = [attribute.bool('transpose_a', transposeA), attribute.bool('transpose_b', transposeB)];
  return one(execute('MatMul', [...flags, index('T', a.dtype)], [a, b]));
}

/** The sum by as few operations as there are: see `ops.sumOfProducts`. */
function sumOfProducts(products: readonly Product[], sum?: Tensor): Tensor {
  const alike = [...Map.groupBy(products, lettersOf).values()];
  return alike.reduce((total: Tensor | undefined, group) => {
    const before = total === undefined ? [] : [total];
    return ownSum(group, total) ?? ops.addN([...before, ...group.map(standardProduct)]);
  }, sum) as Tensor;
}

/**
 * TensorFlow's operations under short names, with broadcasting as NumPy's. All are pure: they may be recorded.
 * Shapes are given as the operation's own documentation names them.
 */
export const ops = {
  add: binary('AddV2'),
  sub: binary('Sub'),
  mul: binary('Mul'),
  div: binary('RealDiv'),
  max: binary('Maximum'),
  greaterEqual: binary('GreaterEqual'),
  neg: unary('Neg'),
  exp: unary('Exp'),
  log: unary('Log'),
  square: unary('Square'),
  sqrt: unary('Sqrt'),
  sign: unary('Sign'),
  rsqrt: unary('Rsqrt'),
  sigmoid: unary('Sigmoid'),
  tanh: unary('Tanh'),
  softmax: unary('Softmax'),
  logSoftmax: unary('LogSoftmax'),
  /** Half the sum of squares of all elements -> []. */
  l2Loss: unary('L2Loss'),
  sum: reduce('Sum'),
  mean: reduce('Mean'),

  scalar,

  /** Zeros that take no memory outside TensorFlow. */
  zeros: (shape: readonly number[]): Tensor =>
    one(execute('Fill', [index('T', 'float32'), index('index_type', 'int32')], [axes(shape), ops.scalar(0)])),

  /** [m, k] x [k, n] -> [m, n]; either side transposed on request. */
  matmul: (a: Tensor, b: Tensor, transposeA = false, transposeB = false): Tensor =>
    sumOfProducts([{ a, b, transposeA, transposeB }]),

  /** Sum of at least one product, all of one shape [m, n] -> [m, n], and of `sum` [m, n] where it is given. */
  sumOfProducts,

  /** [b, m, k] x [b, k, n] -> [b, m, n]; either side transposed on request. */
  batchMatmul: (a: Tensor, b: Tensor, transposeA = false, transposeB = false): Tensor => {
    const flags = [attribute.bool('adj_x', transposeA), attribute.bool('adj_y', transposeB)];
    return one(execute('BatchMatMulV2', [...flags, index('T', a.dtype)], [a, b]));
  },

  reshape: (x: Tensor, shape: readonly number[]): Tensor =>
    one(execute('Reshape', [index('T', x.dtype), index('Tshape', 'int32')], [x, axes(shape)])),

  transpose: (x: Tensor, permutation: readonly number[]): Tensor =>
    one(execute('Transpose', [index('T', x.dtype), index('Tperm', 'int32')], [x, axes(permutation)])),

  concat: (parts: readonly Tensor[], axis: number): Tensor => {
    const first = parts[0] as Tensor;
    if (parts.length === 1) return first;
    const attributes = [attribute.int('N', parts.length), index('T', first.dtype), index('Tidx', 'int32')];
    return one(execute('ConcatV2', attributes, [...parts, int(axis)]));
  },

  split: (x: Tensor, sizes: readonly number[], axis: number): Tensor[] => {
    if (sizes.length === 1) return [x];
    const attributes = [attribute.int('num_split', sizes.length), index('T', x.dtype), index('Tlen', 'int32')];
    return execute('SplitV', attributes, [x, axes(sizes), int(axis)], sizes.length);
  },

  /** x [n, d] with zeros before and after each row's values -> [n, before + d + after]. */
  padColumns: (x: Tensor, before: number, after: number): Tensor => {
    const paddings = constant([0, 0, before, after], [2, 2], 'int32');
    return one(execute('Pad', [index('T', x.dtype), index('Tpaddings', 'int32')], [x, paddings]));
  },

  /** Sum of tensors of one shape. */
  addN: (parts: readonly Tensor[]): Tensor => {
    const first = parts[0] as Tensor;
    if (parts.length === 1) return first;
    return one(execute('AddN', [attribute.int('N', parts.length), index('T', first.dtype)], [...parts]));
  },

  /** Rows of params [n, ...] at indices [m] -> [m, ...]. */
  gather: (params: Tensor, indices: Tensor): Tensor => {
    const types = [index('Tparams', params.dtype), index('Tindices', 'int32'), index('Taxis', 'int32')];
    return one(execute('GatherV2', [attribute.int('batch_dims', 0), ...types], [params, indices, int(0)]));
  },

  /** Adds rows [m, ...] into `segments` rows by indices [m] -> [segments, ...]: the transpose of gather. */
  segmentSum: (rows: Tensor, indices: Tensor, segments: number): Tensor => {
    const types = [index('T', rows.dtype), index('Tindices', 'int32'), index('Tnumsegments', 'int32')];
    return one(execute('UnsortedSegmentSum', types, [rows, indices, int(segments)]));
  },

  /** Cross-entropy of logits [n, v] against labels [n] -> [losses [n], gradient of the losses' sum [n, v]]. */
  crossEntropy: (logits: Tensor, labels: Tensor): [Tensor, Tensor] =>
    execute(
      'SparseSoftmaxCrossEntropyWithLogits',
      [index('T', logits.dtype), index('Tlabels', 'int32')],
      [logits, labels],
      2,
    ) as [Tensor, Tensor],

  cast: (x: Tensor, dtype: DType): Tensor =>
    one(execute('Cast', [index('SrcT', x.dtype), index('DstT', dtype), attribute.bool('Truncate', false)], [x])),

  /** [from, from + 1 ... to - 1] as int32. */
  range: (from: number, to: number): Tensor =>
    one(execute('Range', [index('Tidx', 'int32')], [int(from), int(to), int(1)])),

  /** condition ? a : b, elementwise. */
  where: (condition: Tensor, a: Tensor, b: Tensor): Tensor =>
    one(execute('SelectV2', [index('T', a.dtype)], [condition, a, b])),

  /** Uniform numbers in [0, 1), the same for the same seed [2] (int32): pass the seed as an input of the function. */
  statelessUniform: (seed: Tensor, shape: readonly number[]): Tensor => {
    const types = [index('dtype', 'float32'), index('T', 'int32'), index('Tseed', 'int32')];
    return one(execute('StatelessRandomUniform', types, [axes(shape), seed]));
  },
} as const;
