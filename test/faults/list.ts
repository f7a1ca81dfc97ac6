/** A small mistake that somebody could make, and the tests that must find it. */
export interface Fault {
  title: string;
  /** In trainer-image/. */
  file: string;
  /** Stands once in the file. */
  find: string;
  replace: string;
  /** In test/. */
  tests: string;
  /** Of these tests only those whose name matches: the others take long. */
  named?: string;
}

const losses: Fault[] = [
  {
    title: 'the sign of the logistic loss is flipped',
    file: 'loss/preference.ts',
    find: 'const logistic = (z: Dual): Dual => z.logSigmoid().negated();',
    replace: 'const logistic = (z: Dual): Dual => z.logSigmoid();',
    tests: 'trainer-image/loss/losses',
  },
  {
    title: 'hinge asks for no margin',
    file: 'loss/preference.ts',
    find: '.negated().plus(1).relu()',
    replace: '.negated().relu()',
    tests: 'trainer-image/loss/losses',
  },
  {
    title: 'ipo aims at 1/beta',
    file: 'loss/preference.ts',
    find: 'averageMargin(pair)\n    .minus(1 / (2 * beta))',
    replace: 'averageMargin(pair)\n    .minus(1 / beta)',
    tests: 'trainer-image/loss/losses',
  },
  {
    title: 'label smoothing takes nothing from the right side',
    file: 'loss/preference.ts',
    find: '.times(1 - labelSmoothing)',
    replace: '.times(1)',
    tests: 'trainer-image/loss/losses',
  },
  {
    title: "the sign of simpo's gamma is flipped",
    file: 'loss/preference.ts',
    find: '.minus(settings.simpoGamma)',
    replace: '.plus(settings.simpoGamma)',
    tests: 'trainer-image/loss/losses',
  },
  {
    title: "LD-DPO's boundary is one token late",
    file: 'loss/scores.ts',
    find: 'token < shared ? 1',
    replace: 'token <= shared ? 1',
    tests: 'trainer-image/loss/losses',
  },
  {
    title: 'WPO weighs by the chosen answer against the rejected',
    file: 'loss/scores.ts',
    find: "ofAnswer('chosen') + ofAnswer('rejected')",
    replace: "ofAnswer('chosen') - ofAnswer('rejected')",
    tests: 'trainer-image/loss/losses',
  },
  {
    title: 'gradients are normalised over the micro-batch',
    file: 'loss/objective.ts',
    find: 'value.chosen / totals.pairs',
    replace: 'value.chosen / scores.length',
    tests: 'trainer-image/loss/model',
    named: 'any split of an optimizer batch .* (sigmoid|aot)$',
  },
  {
    title: "aot leaves the reference's margins unsorted",
    file: 'loss/pairing.ts',
    find: 'chosenReference: references[rank] as number',
    replace: 'chosenReference: pair',
    tests: 'trainer-image/loss/losses',
  },
  {
    title: 'rewards leave out the reference',
    file: 'loss/objective.ts',
    find: 'training.beta * (logProbs[side] - reference[side])',
    replace: 'training.beta * logProbs[side]',
    tests: 'trainer-image/loss/losses',
  },
  {
    title: 'cross-entropy is a mean over pairs',
    file: 'loss/objective.ts',
    find: '(weight * outcome.likelihood * pairs) / chosenTokens',
    replace: 'weight * outcome.likelihood',
    tests: 'trainer-image/loss/losses',
  },
  {
    title: 'the js divergence is not shifted to 0',
    file: 'loss/divergence.ts',
    find: 'u.logSigmoid().plus(Math.LN2)',
    replace: 'u.logSigmoid()',
    tests: 'trainer-image/loss/losses',
  },
  {
    title: 'forward_kl scores by exp(u) - 1 in the place of 1 - exp(-u)',
    file: 'loss/divergence.ts',
    find: 'u.negated().expm1().negated()',
    replace: 'u.expm1()',
    tests: 'trainer-image/loss/losses',
  },
];

const checkpoints: Fault[] = [
  {
    title: 'fsync of a file is skipped before it is renamed',
    file: 'checkpoint/durable.ts',
    find: '  sync(temporary);\n',
    replace: '',
    tests: 'trainer-image/checkpoint/durable',
  },
  {
    title: 'fsync of the folder is skipped after a rename',
    file: 'checkpoint/durable.ts',
    find: '  sync(dirname(path));\n',
    replace: '',
    tests: 'trainer-image/checkpoint/durable',
  },
  {
    title: 'the fence is not asked again before a checkpoint takes its place',
    file: 'checkpoint/store.ts',
    find: 'const mayCommit = (): void => this.fence.check();',
    replace: 'const mayCommit = (): void => {};',
    tests: 'trainer-image/checkpoint/store',
  },
  {
    title: 'a generation that another trainer has taken is taken again',
    file: 'checkpoint/fence.ts',
    find: "flag: 'wx'",
    replace: "flag: 'w'",
    tests: 'trainer-image/checkpoint/durable',
  },
  {
    title: 'an older trainer never learns of a newer one',
    file: 'checkpoint/fence.ts',
    find: 'if (newest === generation) return;',
    replace: 'if (newest !== undefined) return;',
    tests: 'runs/fence',
    named: 'the later one holds it',
  },
  {
    title: "a checkpoint's digest is not checked",
    file: 'checkpoint/store.ts',
    find: '!== state.sha256)',
    replace: "=== '')",
    tests: 'trainer-image/checkpoint/store',
  },
  {
    title: "a sealed file's digest is not checked",
    file: 'checkpoint/store.ts',
    find: "digest('hex') === sha256 ?",
    replace: "digest('hex') !== '' || sha256 ?",
    tests: 'trainer-image/checkpoint/store',
  },
  {
    title: 'a checkpoint of another plan is taken',
    file: 'checkpoint/store.ts',
    find: 'if (found.plan === plan) return found;',
    replace: 'return found;',
    tests: 'trainer-image/checkpoint/store',
  },
  {
    title: 'the oldest checkpoints are kept',
    file: 'checkpoint/store.ts',
    find: 'name <= saved).slice(0, -keep)',
    replace: 'name <= saved).slice(keep)',
    tests: 'trainer-image/checkpoint/store',
  },
  {
    title: 'the oldest checkpoint is resumed',
    file: 'checkpoint/store.ts',
    find: 'this.names().toReversed()',
    replace: 'this.names()',
    tests: 'trainer-image/checkpoint/store',
  },
  {
    title: "a newer trainer's unfinished checkpoint is removed",
    file: 'checkpoint/store.ts',
    find: 'generationOf(name) <= this.fence.generation',
    replace: 'generationOf(name) < Infinity',
    tests: 'trainer-image/checkpoint/store',
  },
  {
    title: 'weights are not restored from a checkpoint',
    file: 'train.ts',
    find: '  learner.restore(read);',
    replace: '',
    tests: 'runs/stop',
  },
  {
    title: "the optimizer's state is not saved",
    file: 'model/learner.ts',
    find: 'return [...this.weights(), ...(this.optimizer?.variables ?? []).map(asState)];',
    replace: 'return this.weights();',
    tests: 'runs/stop',
  },
];

const data: Fault[] = [
  {
    title: 'the hold-out is ignored',
    file: 'data/holdout.ts',
    find: '2 ** 48 < share',
    replace: '2 ** 48 < 0',
    tests: 'trainer-image/data/load',
  },
  {
    title: 'prompts that differ in case and spaces only fall on both sides of the hold-out',
    file: 'data/holdout.ts',
    find: '.update(normalisePrompt(prompt))',
    replace: '.update(JSON.stringify(prompt))',
    tests: 'trainer-image/data/load',
  },
  {
    title: 'fine-tuning sees prompts that are held out',
    file: 'data/load.ts',
    find: 'const heldOut = isHeldOut(prompt, options.holdout);',
    replace: 'const heldOut = false;',
    tests: 'trainer-image/data/load',
  },
  {
    title: 'dropped rows are counted once per reason',
    file: 'data/load.ts',
    find: 'dropped[reason] = (dropped[reason] ?? 0) + 1;',
    replace: 'dropped[reason] = 1;',
    tests: 'trainer-image/data/load',
  },
  {
    title: 'the boundary is where the prompt alone ends, whatever merges over it',
    file: 'data/tokenise.ts',
    find: 'Math.min(...whole.map((ids) => sharedPrefix(alone, ids)))',
    replace: 'alone.length',
    tests: 'trainer-image/data/tokenise',
  },
  {
    title: 'the terminator is missing',
    file: 'data/tokenise.ts',
    find: 'prompt + completion + tokenizer.eosToken',
    replace: 'prompt + completion',
    tests: 'trainer-image/data/tokenise',
  },
  {
    title: 'a text that carries the terminator gets a second one',
    file: 'data/tokenizer.ts',
    find: 'tokens[to - 1] === eos && tokens[to - 2] === eos',
    replace: 'false',
    tests: 'trainer-image/data/tokenise',
  },
  {
    title: 'truncation leaves one token too many',
    file: 'data/tokenise.ts',
    find: 'completion.slice(0, room)',
    replace: 'completion.slice(0, room + 1)',
    tests: 'trainer-image/data/tokenise',
  },
  {
    title: 'truncation keeps the end of an answer',
    file: 'data/tokenise.ts',
    find: 'completion.slice(0, room)',
    replace: 'completion.slice(-room)',
    tests: 'trainer-image/data/tokenise',
  },
  {
    title: 'a prompt that leaves no room is kept',
    file: 'data/tokenise.ts',
    find: 'if (room <= 0)',
    replace: 'if (room < 0)',
    tests: 'trainer-image/data/tokenise',
  },
  {
    title: 'the seed is ignored',
    file: 'data/order.ts',
    find: 'seed ^ 0x6a09e667',
    replace: '0x6a09e667',
    tests: 'trainer-image/data/load',
  },
  {
    title: 'every epoch has the same order',
    file: 'data/order.ts',
    find: '0x01000193) + epoch',
    replace: '0x01000193)',
    tests: 'trainer-image/data/load',
  },
  {
    title: 'the last, smaller batch of an epoch is left out',
    file: 'data/order.ts',
    find: 'Math.ceil(count / batchSize)',
    replace: 'Math.floor(count / batchSize)',
    tests: 'trainer-image/data/load',
  },
  {
    title: 'rows of a second file are counted from 1 again',
    file: 'data/rows.ts',
    find: 'row: before + number',
    replace: 'row: number',
    tests: 'trainer-image/data/rows',
  },
  {
    title: 'a weight in a mixture is rounded up for every row',
    file: 'data/rows.ts',
    find: 'Math.floor((i + 1) * weight) - Math.floor(i * weight)',
    replace: 'Math.ceil(weight)',
    tests: 'trainer-image/data/load',
  },
  {
    title: 'a rejected answer goes on where the chosen one ended',
    file: 'data/layout.ts',
    find: 'for (const completion of completions) place(completion, prompt.length);',
    replace: 'for (const completion of completions) place(completion, at - (starts.at(-1) as number));',
    tests: 'trainer-image/model/models',
    named: ' llama$',
  },
  {
    title: 'the first token of an answer is predicted from itself',
    file: 'data/layout.ts',
    find: 'prompt.length - 1 : start + i - 1',
    replace: 'prompt.length : start + i - 1',
    tests: 'trainer-image/model/models',
    named: ' llama$',
  },
  {
    title: 'a pair that is swapped is no contradiction',
    file: 'data/quality/repeats.ts',
    find: 'first.get(swapped(key))',
    replace: 'first.get(key + 0.5)',
    tests: 'trainer-image/data/quality',
  },
  {
    title: 'answers of one length count for the longer one',
    file: 'data/quality/length-bias.ts',
    find: 'chosen === rejected ? 0.5 :',
    replace: 'chosen === rejected ? 1 :',
    tests: 'trainer-image/data/quality',
  },
];

export const faults: readonly Fault[] = [...losses, ...checkpoints, ...data];

/** The source with the fault. Throws Error when its place is not there, or there twice. */
export function mutated({ file, find, replace }: Fault, source: string): string {
  const parts = source.split(find);
  if (parts.length !== 2)
    throw new Error(`${file}: "${find}" stands ${parts.length - 1} times: mend test/faults/list.ts`);
  return parts.join(replace);
}
