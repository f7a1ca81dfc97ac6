import { randomUUID } from 'node:crypto';
import { binding } from './binding.ts';
import { kernelSet } from './kernels.ts';
import { adopt, scope, whileRecording, type Tensor } from './tensor.ts';

interface CompiledFunction {
  name: string;
  outputs: number;
}

/** The least recently called function is freed first. A run needs a few per batch shape. */
const capacity = 256;
const functions = new Map<string, CompiledFunction>();
let sequence = 0;
/** One TensorFlow context serves a whole process, and jest loads this module once per test file: names must not meet. */
const instance = randomUUID().slice(0, 8);
let runsEagerly = false;

/** Operations run one by one instead of compiled: for debugging (`--eager`). */
export function setEager(on: boolean): void {
  runsEagerly = on;
}
export const eager = (): boolean => runsEagerly;

/** Milliseconds spent on recording since the process began, and functions recorded. */
const recorded = { milliseconds: 0, functions: 0 };
export const recordings = (): Readonly<typeof recorded> => recorded;

/** TensorFlow's names of the compiled functions held now, the least recently called first. */
export const compiledFunctions = (): string[] => [...functions.values()].map(({ name }) => name);

const signature = (key: string, inputs: readonly Tensor[]): string =>
  `${key}|${kernelSet()}|${inputs.map((input) => `${input.dtype}${input.shape.join('x')}`).join()}`;

function record(key: string, f: (inputs: Tensor[]) => Tensor[], inputs: readonly Tensor[]): CompiledFunction {
  const name = `f${instance}_${sequence++}_${key.replaceAll(/[^A-Za-z0-9]/g, '_').slice(0, 64)}`;
  try {
    const parameters = binding.recordBegin(inputs.map((input) => input.id));
    return whileRecording(() => {
      const outputs = f(parameters.map(adopt));
      binding.recordEnd(
        name,
        outputs.map((output) => output.id),
      );
      return { name, outputs: outputs.length };
    });
  } catch (error) {
    binding.recordAbort();
    throw new Error(`${key}: ${(error as Error).message}`, { cause: error });
  }
}

function timed(make: () => CompiledFunction): CompiledFunction {
  const started = performance.now();
  const made = make();
  recorded.milliseconds += performance.now() - started;
  recorded.functions += 1;
  return made;
}

function recall(id: string, make: () => CompiledFunction): CompiledFunction {
  const known = functions.get(id) ?? make();
  functions.delete(id);
  functions.set(id, known);
  for (const [oldest, { name }] of functions) {
    if (functions.size <= capacity) break;
    functions.delete(oldest);
    binding.removeFunction(name);
  }
  return known;
}

/**
 * Calls f on the inputs as one TensorFlow function, recorded at the first call with this key and these shapes and types.
 * f sees only its inputs and what it makes of them: any other tensor is an error that names the operation. `key` names
 * the layer, stands in every error, and holds all that f depends on besides its inputs' shapes.
 */
export function compile(key: string, f: (inputs: Tensor[]) => Tensor[], inputs: readonly Tensor[]): Tensor[] {
  if (runsEagerly) return scope(() => f([...inputs]));
  const compiled = recall(signature(key, inputs), () => timed(() => record(key, f, inputs)));
  try {
    return binding
      .callFunction(
        compiled.name,
        inputs.map((input) => input.id),
        compiled.outputs,
      )
      .map(adopt);
  } catch (error) {
    throw new Error(`${key}: ${(error as Error).message}`, { cause: error });
  }
}
