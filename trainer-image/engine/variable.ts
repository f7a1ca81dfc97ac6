import { randomUUID } from 'node:crypto';
import { attribute } from './attribute.ts';
import { binding, type TensorInfo } from './binding.ts';
import { ops } from './ops.ts';
import { adopt, execute, keep, scope, tensor, type Tensor } from './tensor.ts';

/**
 * A resource variable: a value that TensorFlow holds and changes in place. A read shares its buffer, and an update by
 * TensorFlow's operations copies the whole value if any read is still alive: free the reads first.
 */
export interface Variable {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: Float;
  /** The resource handle, for a Resource* operation that changes the value. */
  handle(): Tensor;
  /** The value as a tensor of the variable's type that shares its buffer. */
  read(): Tensor;
  /** The same held by the variable until its next update: a read takes 50 microseconds. It is not for the caller to free. */
  value(): Tensor;
  /** What the tensor shares its memory with, an array or another variable, must not be used afterwards. */
  assign(value: Tensor): void;
  assignAdd(value: Tensor): void;
  dispose(): void;
}

type Float = 'float32' | 'bfloat16';

let sequence = 0;
/** One TensorFlow context serves a whole process, and jest loads this module once per test file: names must not meet. */
const instance = randomUUID().slice(0, 8);

/** Makes a variable of the given values (row-major), rounded to its type. The array is the variable's from then on. */
export function createVariable(
  name: string,
  data: Float32Array,
  shape: readonly number[],
  dtype: Float = 'float32',
): Variable {
  const made = emptyVariable(name, shape, dtype);
  scope(() => {
    const values = tensor(data, shape);
    made.assign(dtype === 'float32' ? values : ops.cast(values, dtype));
  });
  return made;
}

/** Makes a float32 variable of zeros. */
export function createZeros(name: string, shape: readonly number[]): Variable {
  const made = emptyVariable(name, shape, 'float32');
  scope(() => made.assign(ops.zeros(shape)));
  return made;
}

// Its functions live as long as the variable, and with them all that stands around them here: never the values.
function emptyVariable(name: string, shape: readonly number[], dtype: Float): Variable {
  const type = attribute.type('dtype', dtype);
  const shared = attribute.string('shared_name', `${name}#${instance}-${sequence++}`);
  const attributes = [attribute.string('container', ''), shared, type, attribute.shape('shape', shape)];
  const handle = keep(execute('VarHandleOp', attributes, [])[0] as Tensor);
  const readNow = (): Tensor => adopt(binding.executeOp('ReadVariableOp', [type], [handle.id], 1)[0] as TensorInfo);
  let held: Tensor | undefined;
  const release = (): void => {
    if (held !== undefined) binding.deleteTensor(held.id);
    held = undefined;
  };
  const write = (op: string, value: Tensor): void => {
    release();
    execute(op, [type], [handle, value], 0);
  };
  return {
    name,
    shape,
    dtype,
    handle: () => {
      release();
      return handle;
    },
    read: readNow,
    value: () => (held ??= keep(readNow())),
    assign: (value) => write('AssignVariableOp', value),
    assignAdd: (value) => write('AssignAddVariableOp', value),
    dispose: () => {
      release();
      execute('DestroyResourceOp', [attribute.bool('ignore_lookup_error', true)], [handle], 0);
      binding.deleteTensor(handle.id);
    },
  };
}
