import { createRequire } from 'node:module';
import { bindingPath } from '../../trainer-image/engine/built.ts';
import type { Attribute, Binding, TensorInfo } from '../../trainer-image/engine/binding.ts';
import { prepareEnvironment } from '../../trainer-image/engine/environment.ts';
import { Calls, matmulWork, type Call } from './calls.ts';

/**
 * Times every call into TensorFlow of this process. Imported before the engine it takes the binding's place in Node's cache of
 * modules, so that nothing of the engine knows of it. On a CPU a call returns when its work is done.
 */
prepareEnvironment();
const require = createRequire(import.meta.url);
const real = require(bindingPath()) as Binding;

let calls: Calls | undefined;
const shapes = new Map<number, readonly number[]>();

const seen = (made: readonly TensorInfo[]): void => {
  if (calls !== undefined) for (const { id, shape } of made) shapes.set(id, shape);
};

function timed<T>(call: () => Call, run: () => T): T {
  if (calls === undefined) return run();
  const [started, before] = [performance.now(), process.cpuUsage()];
  const result = run();
  const { user, system } = process.cpuUsage(before);
  calls.add(call(), { milliseconds: performance.now() - started, cpuMilliseconds: (user + system) / 1000 });
  return result;
}

const isTrue = (attributes: readonly Attribute[], name: string): boolean =>
  attributes.some((attribute) => attribute.name === name && attribute.value === true);

/** An operation with the shapes that it was given: MatMul [923,576] [1536,576]^T, or a sum of such products. */
function callOf(op: string, attributes: readonly Attribute[], inputs: readonly number[], made: readonly TensorInfo[]) {
  const given = inputs.map((id) => shapes.get(id) ?? []);
  // Our own products have it in their names, by the letters of BLAS.
  const letters = /MatMul([NT])([NT])_/.exec(op) ?? [];
  const transposed = [letters[1] === 'T' || isTrue(attributes, 'transpose_a') || isTrue(attributes, 'adj_x')];
  transposed.push(letters[2] === 'T' || isTrue(attributes, 'transpose_b') || isTrue(attributes, 'adj_y'));
  // Our own take a list of left factors, then one of right ones.
  const products = Number(attributes.find(({ name }) => letters.length > 0 && name === 'N')?.value ?? 1);
  const factor = (side: 0 | 1, product: number): readonly number[] => given[side * products + product] ?? [];
  const text = Array.from({ length: products }, (_, i) =>
    ([0, 1] as const).map((side) => `[${factor(side, i).join()}]${transposed[side] === true ? '^T' : ''}`).join(' '),
  );
  const workOf = (i: number): number => matmulWork(factor(0, i), transposed[0] === true, made[0]?.shape ?? []);
  const work = op.includes('MatMul') ? text.reduce((sum, _, i) => sum + workOf(i), 0) : 0;
  return { name: op, detail: `${op} ${text.join(' + ')}`, work };
}

/** f0a1b2c3_12_llama_8870a5f48ad1_block_forward_484_180 -> llama block forward: without digests and lengths. */
const functionName = (name: string): string =>
  name
    .replace(/^f[0-9a-f]+_\d+_/, '')
    .split('_')
    .filter((word) => !/^(\d+|[0-9a-f]{12})?$/.test(word))
    .join(' ');

const plain = (name: string) => (): Call => ({ name, detail: name, work: 0 });

const standIn: Pick<Binding, 'executeOp' | 'callFunction' | 'createTensor' | 'tensorDataSync'> = {
  executeOp: (op, attributes, inputs, outputs) => {
    let made: TensorInfo[] = [];
    return timed(
      () => callOf(op, attributes, inputs, made),
      () => {
        made = real.executeOp(op, attributes, inputs, outputs);
        seen(made);
        return made;
      },
    );
  },
  callFunction: (name, inputs, outputs) =>
    timed(plain(functionName(name)), () => {
      const made = real.callFunction(name, inputs, outputs);
      seen(made);
      return made;
    }),
  createTensor: (shape, dtype, data) =>
    timed(plain('(copy into TensorFlow)'), () => {
      const id = real.createTensor(shape, dtype, data);
      seen([{ id, shape: [...shape], dtype }]);
      return id;
    }),
  tensorDataSync: (id) => timed(plain('(copy out of TensorFlow)'), () => real.tensorDataSync(id)),
};
const cached = require.cache[require.resolve(bindingPath())];
if (cached === undefined) throw new Error('the binding is not among the modules that Node.js keeps');
const members = Object.getOwnPropertyNames(real).map((name) => [name, real[name as keyof Binding]]);
cached.exports = { ...Object.fromEntries(members), ...standIn };
const { setEager } = await import('../../trainer-image/engine/compile.ts');

/** Writes what was measured as a line of the process's protocol. */
const tell = (): void => console.log(JSON.stringify({ event: 'profile', ...calls?.profile() }));

/** After which step what happens; the second step of each way is measured. */
const plan: Record<number, () => void> = {
  2: () => (calls = new Calls('recorded')),
  3: () => {
    tell();
    calls = undefined;
    setEager(true);
  },
  4: () => (calls = new Calls('one by one')),
  5: () => tell(),
};
export const stepTaken = (step: number): void => plan[step]?.();
