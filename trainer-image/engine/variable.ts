import { attribute } from './attribute.ts';
import { binding } from './binding.ts';
import { ops } from './ops.ts';
import { adopt, execute, keep, scope, tensor, type Tensor } from './tensor.ts';

/**
 * A resource variable: a value that TensorFlow holds and changes in place. A read shares its buffer, and an update
 * copies the whole value if any read is still alive: free the reads first.
 */
export interface Variable {
  readonly name: string;
  readonly shape: readonly number[];
  /** The resource handle, input of the Resource* operations. */
  readonly handle: Tensor;
  /** The value as a float32 tensor that shares the variable's buffer. */
  read(): Tensor;
  assign(value: Tensor): void;
  assignAdd(value: Tensor): void;
  dispose(): void;
}

const float = attribute.type('dtype', 'float32');
let sequence = 0;

const write = (op: string, handle: Tensor, value: Tensor): void => void execute(op, [float], [handle, value], 0);

/** Makes a float32 variable of the given values (row-major). */
export function createVariable(name: string, data: Float32Array, shape: readonly number[]): Variable {
  const made = emptyVariable(name, shape);
  scope(() => made.assign(tensor(data, shape)));
  return made;
}

/** Makes a float32 variable of zeros. */
export function createZeros(name: string, shape: readonly number[]): Variable {
  const made = emptyVariable(name, shape);
  scope(() => made.assign(ops.zeros(shape)));
  return made;
}

// Its functions live as long as the variable, and with them all that stands around them here: never the values.
function emptyVariable(name: string, shape: readonly number[]): Variable {
  const shared = attribute.string('shared_name', `${name}#${sequence++}`);
  const attributes = [attribute.string('container', ''), shared, float, attribute.shape('shape', shape)];
  const handle = keep(execute('VarHandleOp', attributes, [])[0] as Tensor);
  return {
    name,
    shape,
    handle,
    read: () => adopt(binding.executeOp('ReadVariableOp', [float], [handle.id], 1)[0] as never),
    assign: (value) => write('AssignVariableOp', handle, value),
    assignAdd: (value) => write('AssignAddVariableOp', handle, value),
    dispose: () => {
      execute('DestroyResourceOp', [attribute.bool('ignore_lookup_error', true)], [handle], 0);
      binding.deleteTensor(handle.id);
    },
  };
}
