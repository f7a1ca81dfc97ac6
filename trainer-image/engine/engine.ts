export { compile, compiledFunctions, eager, recordings, setEager } from './compile.ts';
export { kernels, kernelSet, setKernels, usableFlags, type AdamState, type Kernels, type Product } from './kernels.ts';
export { ops } from './ops.ts';
export { noteRows, paddingShare, roundedUp, roundsShapes, setRoundedShapes } from './shapes.ts';
export {
  constant,
  elements,
  free,
  keep,
  liveTensors,
  read,
  scope,
  tensor,
  tensorFlowVersion,
  usesGpu,
  type DType,
  type Tensor,
} from './tensor.ts';
export { createVariable, createZeros, type Variable } from './variable.ts';
