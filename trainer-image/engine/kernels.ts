import { createRequire } from 'node:module';
import { attribute } from './attribute.ts';
import { binding, type Attribute } from './binding.ts';
import { kernelsPath } from './built.ts';
import type { KernelSet } from './kernel-sets.ts';
import { constant, execute, scalar, scope, tensor, type Tensor } from './tensor.ts';

/**
 * Operations of our own for CPUs (native/kernels), each of which does in one pass over memory what takes TensorFlow's
 * several. All take and give float32, compute what the operations they stand for compute, to rounding, and give the same
 * bits with any number of threads.
 */
export interface Kernels {
  /**
   * Sum of products whose factors fit and are given transposed alike, and of `sum` where there is one; where the processor has
   * a unit for products.
   */
  matmul: ((products: readonly Product[], sum: Tensor | undefined) => Tensor) | undefined;
  /** Causal attention of [q, k, v] as in model/attention.ts. */
  attention: (qkv: QKV, how: AttentionLayout) => Tensor;
  /** Gradients of q, k and v. */
  attentionGradient: (qkv: QKV, how: AttentionLayout, dy: Tensor) => Tensor[];
  /** x [n, d], weight [d] -> [n, d]. */
  rmsNorm: (x: Tensor, weight: Tensor, epsilon: number) => Tensor;
  /** Gradients of x and of weight. */
  rmsNormGradient: (inputs: [x: Tensor, weight: Tensor], epsilon: number, dy: Tensor) => Tensor[];
  gatedSilu: (gate: Tensor, up: Tensor) => Tensor;
  /** Gradients of gate and of up. */
  gatedSiluGradient: (gate: Tensor, up: Tensor, dy: Tensor) => Tensor[];
  gatedGelu: (gate: Tensor, up: Tensor) => Tensor;
  gatedGeluGradient: (gate: Tensor, up: Tensor, dy: Tensor) => Tensor[];
  /** As ops.crossEntropy; the gradient takes the place of the logits where nothing else needs them. */
  crossEntropy: (logits: Tensor, labels: Tensor) => [Tensor, Tensor];
  /** Adds a part of the same shape into `sum` itself: its buffer must be the caller's alone. */
  addInto: (sum: Tensor, part: Tensor) => void;
  /** Adds rows [m, d] into `table` [n, d] itself at places [m]; likewise. */
  addRowsInto: (table: Tensor, rows: Tensor, places: Tensor) => void;
  /** Multiplies the values themselves by a number; likewise. */
  scaleInPlace: (values: Tensor, factor: number) => void;
  /** Sum of squares of all elements of at least one tensor -> []. */
  sumOfSquares: (tensors: readonly Tensor[]) => Tensor;
  /** A step of AdamW in weights and their moments themselves, which all see who hold a read of them. Throws for shapes that differ. */
  adamw: (states: readonly AdamState[], numbers: AdamNumbers) => void;
}

/** What AdamW changes of a weight by its gradient, all of one shape. */
export interface AdamState {
  weight: Tensor;
  m: Tensor;
  v: Tensor;
  gradient: Tensor;
  /** What the weight is multiplied by before the step: its decay. */
  kept: number;
}

/** Numbers of a step of AdamW. */
export interface AdamNumbers {
  /** What the gradients are multiplied by: clipping. */
  gradientScale: number;
  betas: readonly [number, number];
  /** The step is rate m / (sqrt(v) + epsilon), of the moments as they are, without correction of their bias. */
  rate: number;
  epsilon: number;
}

/** a [m, k] times b [k, n]; either is given transposed on request. */
export interface Product {
  a: Tensor;
  b: Tensor;
  transposeA?: boolean;
  transposeB?: boolean;
}

/** Which factors are given transposed, in the letters of BLAS: N as it is, T transposed. */
export const lettersOf = ({ transposeA = false, transposeB = false }: Product): string =>
  `${transposeA ? 'T' : 'N'}${transposeB ? 'T' : 'N'}`;

type QKV = readonly [q: Tensor, k: Tensor, v: Tensor];

/** What attention needs besides its inputs. */
export interface AttentionLayout {
  rotation: { cos: Tensor; sin: Tensor } | undefined;
  /** Query heads, key heads, window (0: none), then of each group its prompt, how many answers, and their lengths. */
  layout: readonly number[];
  scale: number;
}

function createKernels(set: Exclude<KernelSet, 'none'>): Kernels {
  if (set === 'amx' && !binding.allowTiles())
    throw new Error('the system keeps the matrix unit (AMX) from this process');
  createRequire(import.meta.url)(kernelsPath(set));
  const run = (name: string, inputs: readonly Tensor[], outputs = 1, attributes: Attribute[] = []): Tensor[] =>
    execute(`Dpo${name}_${set}`, attributes, inputs, outputs);
  const one = (name: string, inputs: readonly Tensor[], attributes?: Attribute[]): Tensor =>
    run(name, inputs, 1, attributes)[0] as Tensor;
  /** Of an operation that takes lists: how long they are. */
  const listsOf = (length: number): Attribute[] => [attribute.int('N', length)];
  /** Stands for a matrix that is not there. */
  const nothing = (): Tensor => constant([], [0, 0], 'float32');
  const attentionInputs = (qkv: QKV, { rotation, layout, scale }: AttentionLayout): Tensor[] => {
    const { cos, sin } = rotation ?? { cos: nothing(), sin: nothing() };
    return [...qkv, cos, sin, constant(layout, [layout.length], 'int32'), scalar(scale)];
  };
  const matmul: Kernels['matmul'] = (products, sum = nothing()) => {
    const factors = [...products.map(({ a }) => a), ...products.map(({ b }) => b)];
    return one(`MatMul${lettersOf(products[0] as Product)}`, [...factors, sum], listsOf(products.length));
  };
  return {
    matmul: set === 'amx' ? matmul : undefined,
    attention: (qkv, how) => one('Attention', attentionInputs(qkv, how)),
    attentionGradient: (qkv, how, dy) => run('AttentionGradient', [...attentionInputs(qkv, how), dy], 3),
    rmsNorm: (x, weight, epsilon) => one('RmsNorm', [x, weight, scalar(epsilon)]),
    rmsNormGradient: (inputs, epsilon, dy) => run('RmsNormGradient', [...inputs, scalar(epsilon), dy], 2),
    gatedSilu: (gate, up) => one('GatedSilu', [gate, up]),
    gatedSiluGradient: (gate, up, dy) => run('GatedSiluGradient', [gate, up, dy], 2),
    gatedGelu: (gate, up) => one('GatedGelu', [gate, up]),
    gatedGeluGradient: (gate, up, dy) => run('GatedGeluGradient', [gate, up, dy], 2),
    crossEntropy: (logits, labels) => run('CrossEntropy', [logits, labels], 2) as [Tensor, Tensor],
    addInto: (sum, part) => void run('Add', [sum, part], 0),
    addRowsInto: (table, rows, places) => void run('AddRows', [table, rows, places], 0),
    sumOfSquares: (tensors) => one('SumOfSquares', tensors, listsOf(tensors.length)),
    adamw: (states, { gradientScale, betas: [beta1, beta2], rate, epsilon }) =>
      scope(() => {
        const lists = (['weight', 'm', 'v', 'gradient'] as const).flatMap((part) => states.map((state) => state[part]));
        for (const { weight, m, v, gradient } of states) {
          const shapes = new Set([weight, m, v, gradient].map(({ shape }) => shape.join()));
          if (shapes.size > 1)
            throw new Error(`AdamW: a weight, its moments and gradient are [${[...shapes].join('], [')}]`);
        }
        const kept = states.map((state) => state.kept);
        const numbers = [gradientScale, beta1, 1 - beta1, beta2, 1 - beta2, rate, epsilon];
        const vectors = [kept, numbers].map((values) => tensor(Float32Array.from(values), [values.length]));
        run('AdamW', [...lists, ...vectors], 0, listsOf(states.length));
      }),
    scaleInPlace: (values, factor) => scope(() => void run('Scale', [values, tensor(Float32Array.of(factor), [])], 0)),
  };
}

/** A processor's flags without what the system keeps from this process. */
export function usableFlags(flags: ReadonlySet<string>): ReadonlySet<string> {
  const tiles = flags.has('amx_tile') && binding.allowTiles();
  return tiles ? flags : new Set([...flags].filter((flag) => !flag.startsWith('amx_')));
}

let chosen: KernelSet = 'none';
const made = new Map<KernelSet, Kernels>();

/** Uses these kernels from now on. */
export function setKernels(set: KernelSet): void {
  if (set !== 'none' && !made.has(set)) made.set(set, createKernels(set));
  chosen = set;
}
export const kernelSet = (): KernelSet => chosen;

/** The kernels in use, or undefined where TensorFlow's own operations are. */
export const kernels = (): Kernels | undefined => made.get(chosen);
