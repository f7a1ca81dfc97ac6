import { Interpreter, Template } from '@huggingface/jinja';
import { TrainerError } from '../errors.ts';

/**
 * Chat templates are programs that come with a model. Jinja gives them no way out to this machine; what is bounded here is
 * how long they compute and how much they make of one conversation. Longer conversations than these bounds allow exceed
 * any context: 100,000 values, or 16 million characters.
 */
const mostWork = 2_000_000;
const mostItems = 100_000;
const mostCharacters = 1 << 24;
/** What is looked at whole counts as one step for so many characters, or items of a list; a loop takes a step for each item. */
const charactersPerStep = 256;
const itemsPerStep = 64;

let work = 0;
/** Expressions whose items a loop goes through. */
let loops = new WeakSet<object>();
/** Items of a list or a map with all that is in them: what is in it twice counts twice, as when it is written out. */
let sizes = new WeakMap<object, number>();

function spend(amount: number): void {
  work += amount;
  if (work > mostWork) throw new Error('the template computes without end');
}

interface RuntimeValue {
  value: unknown;
}

function sizeOf(made: RuntimeValue): number {
  const { value } = made;
  if (!Array.isArray(value) && !(value instanceof Map)) return 1;
  const known = sizes.get(made);
  if (known !== undefined) return known;
  // Should it be in itself.
  sizes.set(made, 1);
  const items = [...(value.values() as Iterable<RuntimeValue>)];
  const size = items.reduce((sum, one) => sum + sizeOf(one), 1);
  sizes.set(made, size);
  return size;
}

/** Counts what an expression gave, by its size, and refuses what grows beyond all bounds. */
function weigh(made: RuntimeValue, isLooped: boolean): void {
  const { value } = made;
  if (typeof value === 'string') {
    if (value.length > mostCharacters)
      throw new Error(`the template makes a text of over ${mostCharacters} characters`);
    spend(value.length / charactersPerStep);
  } else if (Array.isArray(value) || value instanceof Map) {
    if (sizeOf(made) > mostItems) throw new Error(`the template makes a list of over ${mostItems} items`);
    const length = Array.isArray(value) ? value.length : value.size;
    spend(isLooped ? length : length / itemsPerStep);
  }
}

/** Python's range, bounded before the list is made. */
function range(...given: number[]): number[] {
  const [start, stop, step = 1] = given.length === 1 ? [0, given[0] as number] : (given as [number, number, number?]);
  const length = Math.max(0, Math.ceil((stop - start) / step));
  if (step === 0 || !(length <= mostItems)) throw new Error(`range(${given.join(', ')}) is too long, or has no step`);
  return Array.from({ length }, (_, i) => start + i * step);
}

/** What a `for` goes through, in the library's tree. */
interface Loop {
  type: string;
  iterable?: { type: string; lhs?: object };
}

/** Every node of a template is computed by `evaluate`, every rendering begins with `run`; the library has no hook for either. */
const original = { evaluate: Interpreter.prototype.evaluate, run: Interpreter.prototype.run };

Interpreter.prototype.evaluate = function bounded(this: Interpreter, ...given: Parameters<Interpreter['evaluate']>) {
  spend(1);
  const node = given[0] as Loop | undefined;
  if (node?.type === 'For' && node.iterable !== undefined) loops.add(node.iterable.lhs ?? node.iterable);
  const made = original.evaluate.apply(this, given);
  weigh(made as RuntimeValue, node !== undefined && loops.has(node));
  return made;
};

Interpreter.prototype.run = function bounded(this: Interpreter, ...given: Parameters<Interpreter['run']>) {
  [work, loops, sizes] = [0, new WeakSet(), new WeakMap()];
  this.global.variables.delete('range');
  this.global.set('range', range);
  return original.run.apply(this, given);
};

/** Parses a chat template. Throws InvalidConfiguration. */
export function parseTemplate(source: string): Template {
  try {
    return new Template(source);
  } catch (error) {
    throw new TrainerError('InvalidConfiguration', `the chat template cannot be parsed: ${(error as Error).message}`, {
      cause: error,
    });
  }
}
