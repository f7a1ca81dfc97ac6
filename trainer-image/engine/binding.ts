import { createRequire } from 'node:module';
import { isMainThread } from 'node:worker_threads';
import { bindingPath, engineIsBuilt } from './built.ts';
import { prepareEnvironment } from './environment.ts';

/** An attribute of an operation as the binding takes it. */
export interface Attribute {
  name: string;
  type: number;
  value: string | number | boolean | readonly number[];
}

export interface TensorInfo {
  id: number;
  shape: number[];
  dtype: number;
}

/** The N-API binding of @tensorflow/tfjs-node-gpu with the recorder's functions (native/recorder.h). */
export interface Binding {
  TF_Version: string;
  TF_ATTR_STRING: number;
  TF_ATTR_INT: number;
  TF_ATTR_FLOAT: number;
  TF_ATTR_BOOL: number;
  TF_ATTR_TYPE: number;
  TF_ATTR_SHAPE: number;
  createTensor(shape: readonly number[], dtype: number, data: ArrayBufferView): number;
  deleteTensor(id: number): void;
  tensorDataSync(id: number): ArrayLike<number>;
  executeOp(op: string, attributes: readonly Attribute[], inputs: readonly number[], outputs: number): TensorInfo[];
  isUsingGpuDevice(): boolean;
  getNumOfTensors(): number;
  recordBegin(inputs: readonly number[]): TensorInfo[];
  recordConstant(shape: readonly number[], dtype: number, data: ArrayBufferView): TensorInfo;
  recordEnd(name: string, outputs: readonly number[]): number;
  recordAbort(): void;
  callFunction(name: string, inputs: readonly number[], outputs: number): TensorInfo[];
  removeFunction(name: string): void;
  /** Asks the system for the tiles of the processor's matrix unit (AMX); whether this process may use them. */
  allowTiles(): boolean;
}

const require = createRequire(import.meta.url);

function load(): Binding {
  if (!engineIsBuilt()) throw new Error("The engine is not built yet: run 'npm run engine'.");
  if (isMainThread) prepareEnvironment();
  return require(bindingPath()) as Binding;
}

/**
 * The binding itself, without tfjs's JavaScript above it: an operation on raw tensor ids costs 12 us instead of 25 to 60,
 * and loading takes half the time. tfjs's own functions work beside it on the same ids (the tests' oracle).
 */
export const binding: Binding = load();
