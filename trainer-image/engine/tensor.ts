import { binding, type Attribute, type TensorInfo } from './binding.ts';

/** TensorFlow's numbers of the types in use (tensorflow/c/tf_datatype.h). */
const dtypes = { float32: 1, int32: 3, bool: 10, bfloat16: 14, resource: 20 } as const;
export type DType = keyof typeof dtypes;
export const dtypeNumber = (dtype: DType): number => dtypes[dtype];

/** A value in TensorFlow. In a recording it stands for a value that each call of the function computes. */
export interface Tensor {
  readonly id: number;
  readonly shape: readonly number[];
  readonly dtype: DType;
}

function dtypeName(number: number): DType {
  const name = (Object.keys(dtypes) as DType[]).find((key) => dtypes[key] === number);
  if (name === undefined) throw new Error(`TensorFlow's data type ${number} is not in use here`);
  return name;
}

const fromInfo = (info: TensorInfo): Tensor => ({ id: info.id, shape: info.shape, dtype: dtypeName(info.dtype) });

/** Tensors made in each scope that is open; freed at its end unless returned. */
const scopes: Set<Tensor>[] = [];
let recording = false;
const constants = new Map<string, Tensor>();

function register(made: Tensor): Tensor {
  if (!recording) scopes.at(-1)?.add(made);
  return made;
}

/** For compile.ts only: runs f while the binding records. */
export function whileRecording<T>(f: () => T): T {
  recording = true;
  try {
    return f();
  } finally {
    recording = false;
  }
}

/** Registers what the binding made. For ops.ts, compile.ts and variable.ts. */
export const adopt = (info: TensorInfo): Tensor => register(fromInfo(info));

/** Runs one TensorFlow operation. Throws with the operation's name and the shapes of its inputs. */
export function execute(
  op: string,
  attributes: readonly Attribute[],
  inputs: readonly Tensor[],
  outputs = 1,
): Tensor[] {
  const ids = inputs.map((input) => input.id);
  try {
    return binding.executeOp(op, attributes, ids, outputs).map(adopt);
  } catch (error) {
    const shapes = inputs.map((input) => `${input.dtype}[${input.shape.join(',')}]`).join(', ');
    throw new Error(`${op}(${shapes}): ${(error as Error).message}`, { cause: error });
  }
}

/** Numbers in a tensor of a shape. */
export const elements = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);

/** Makes a tensor from values in row-major order. Not in a recording: there, declare it as an input of the function. */
export function tensor(data: Float32Array | Int32Array, shape: readonly number[], dtype?: DType): Tensor {
  const type = dtype ?? (data.BYTES_PER_ELEMENT === 4 && isInt32(data) ? 'int32' : 'float32');
  if (recording) throw new Error('a tensor was made inside a recording: pass it as an input, or use constant()');
  if (data.length !== elements(shape)) {
    throw new Error(`${data.length} values do not fill a tensor of shape [${shape.join(', ')}]`);
  }
  return register({ id: binding.createTensor(shape, dtypes[type], data), shape, dtype: type });
}

// By tag and not instanceof: jest runs tests in another realm.
const isInt32 = (data: ArrayBufferView): boolean => Object.prototype.toString.call(data) === '[object Int32Array]';

/**
 * A small value of an operation (an axis, a permutation, a shape, a scalar of the model): recorded, or in the open scope. A
 * single number is kept for ever: there are few.
 */
export function constant(values: readonly number[], shape: readonly number[], dtype: 'float32' | 'int32'): Tensor {
  const data = dtype === 'int32' ? Int32Array.from(values) : Float32Array.from(values);
  if (recording) return fromInfo(binding.recordConstant(shape, dtypes[dtype], data));
  const make = (): Tensor => ({ id: binding.createTensor(shape, dtypes[dtype], data), shape, dtype });
  // Shapes follow the micro-batches, which seldom come again.
  if (values.length > 1 && scopes.length > 0) return register(make());
  const key = `${dtype}:${shape.join()}:${values.join()}`;
  const known = constants.get(key) ?? make();
  constants.set(key, known);
  return known;
}

/** A float32 scalar that never changes. */
export const scalar = (value: number): Tensor => constant([value], [], 'float32');

/** Frees a tensor before its scope ends. A value of a recording needs no freeing. */
export function free(...tensors: readonly Tensor[]): void {
  if (recording) return;
  for (const each of tensors) {
    for (const open of scopes) open.delete(each);
    binding.deleteTensor(each.id);
  }
}

/** Takes a tensor out of its scope: whoever keeps it frees it. */
export function keep(kept: Tensor): Tensor {
  for (const open of scopes) open.delete(kept);
  return kept;
}

function tensorsIn(value: unknown): Tensor[] {
  if (Array.isArray(value)) return value.flatMap(tensorsIn);
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return [];
  if ('id' in value && 'shape' in value && 'dtype' in value) return [value as Tensor];
  return Object.values(value).flatMap(tensorsIn);
}

/** Runs f and frees what it made, except the tensors in its result, which the enclosing scope takes over. */
export function scope<T>(f: () => T): T {
  scopes.push(new Set());
  let result: T | undefined;
  try {
    result = f();
    return result;
  } finally {
    const made = scopes.pop() ?? new Set();
    for (const returned of tensorsIn(result)) if (made.delete(returned)) scopes.at(-1)?.add(returned);
    for (const each of made) binding.deleteTensor(each.id);
  }
}

/** The values of a float32 or int32 tensor, in row-major order. */
export function read(from: Tensor): Float32Array | Int32Array {
  if (recording) throw new Error('a value was read inside a recording: it is known only when the function is called');
  const values = binding.tensorDataSync(from.id);
  if (from.dtype === 'float32') return Float32Array.from(values);
  if (from.dtype === 'int32') return Int32Array.from(values);
  throw new Error(`values of type ${from.dtype} cannot be read: cast them first`);
}

/** Tensors that TensorFlow holds for us now. */
export const liveTensors = (): number => binding.getNumOfTensors();
export const tensorFlowVersion = (): string => binding.TF_Version;
export const usesGpu = (): boolean => binding.isUsingGpuDevice();
