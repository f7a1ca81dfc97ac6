import type { Tensor } from '../engine/engine.ts';
import { adapted, type Adapter } from './adapter.ts';
import type { Parameters } from './architecture.ts';
import { add, addBias, linear, type WeightLayout } from './primitives.ts';
import type { Tape } from './tape.ts';

/** Calls a block's dense layer by its name; its result is added to `sum` [n, out] where that is given. */
type Dense = (tape: Tape, x: Tensor, p: Parameters, layer: string | Added) => Tensor;
interface Added {
  name: string;
  sum: Tensor | undefined;
}

/** The weight `name` of a block; its absence is an error of the architecture. */
export function weight(p: Parameters, name: string): Tensor {
  const found = p[`${name}.weight`];
  if (found === undefined) throw new Error(`the block has no weight ${name}.weight`);
  return found;
}

/** Names of the weights of a dense layer's adapter, as PEFT ends them. */
export const adapterNames = (name: string): Record<keyof Adapter, string> => ({
  a: `${name}.lora_A.weight`,
  b: `${name}.lora_B.weight`,
  magnitude: `${name}.lora_magnitude_vector`,
});

/** The adapter of the dense layer `name`, where the block has one. */
export function adapterOf(p: Parameters, name: string): Adapter | undefined {
  const names = adapterNames(name);
  const [a, b] = [p[names.a], p[names.b]];
  return a === undefined || b === undefined ? undefined : { a, b, magnitude: p[names.magnitude] };
}

/** Every dense layer of every architecture is made here. */
const layer =
  (layout: WeightLayout): Dense =>
  (tape, x, p, called) => {
    const { name, sum }: Added = typeof called === 'string' ? { name: called, sum: undefined } : called;
    const [adapter, bias] = [adapterOf(p, name), p[`${name}.bias`]];
    const how = { layout, sum: bias === undefined ? sum : undefined };
    const product =
      adapter === undefined
        ? linear(tape, x, weight(p, name), how)
        : adapted(tape, x, { weight: weight(p, name), adapter, ...how });
    if (bias === undefined) return product;
    const biased = addBias(tape, product, bias);
    return sum === undefined ? biased : add(tape, sum, biased);
  };

/** torch.nn.Linear: x [n, in] -> [n, out] by `name.weight` [out, in] and, where the block has one, `name.bias` [out]. */
export const dense = layer('out-in');
/** The Conv1D of GPT-2: the same by a `name.weight` that lies [in, out]. */
export const conv1d = layer('in-out');
