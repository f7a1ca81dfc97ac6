import { goldenFolder } from '../trainer-image/golden.ts';
import { lossesOf, unit } from '../trainer-image/loss/trl.ts';
import { reference } from '../trainer-image/tiny-models.ts';
import { adapter, adapterCases } from './adapters.ts';
import { autocast, bf16Batch, bf16Trace } from './bf16.ts';
import type { Parts } from './compared.ts';
import { ModelLosses, setsWithoutNumber, unitLoss } from './losses.ts';
import { fixedBatch, tinyModel } from './models.ts';
import { alone, modelAlone, traceAlone, unitAlone } from './reference-free.ts';
import { tokenisation, tokenised } from './tokenisation.ts';
import { goldenRows, longRun, longTrace, trace, traces } from './traces.ts';
import { workedCases, workedLoss } from './worked.ts';

/** A table of docs/parity.md: its cases, and how each is compared. The tests make the same comparisons. */
export interface Section {
  title: string;
  /** What is compared with what, and the tolerance. */
  text: string;
  cases: readonly string[];
  compare: (name: string) => Parts | Promise<Parts>;
  /** Beside the numbers. */
  note?: { title: string; of: (name: string) => string };
}

const of = <T>(table: Record<string, T>, name: string): T => table[name] as T;
/** Read once for all runs of 20 steps. */
const short = goldenRows(`${goldenFolder}/train-80.jsonl`);

function modelLosses(model: 'tiny' | 'tiny-gpt2', name: string): Section {
  let losses: ModelLosses | undefined;
  return {
    title: `Losses of ${name} on a fixed batch`,
    text: `Eight pairs, a policy and its reference, beside TRL's DPOTrainer: loss within 1e-6 + 2e-5 of it, norm of the
gradient over all weights within 1e-4 of it (2e-4 with discopop, whose temperature magnifies what float32 rounds), mean
log-probabilities within 2e-4, rewards within beta times that; accuracies equal.`,
    cases: Object.keys(lossesOf[model]),
    compare: (each) => (losses ??= new ModelLosses(model)).compare(of(lossesOf[model], each)),
  };
}

const trainersAlone = "TRL's CPOTrainer and ORPOTrainer";
const batchAlone = (model: 'tiny' | 'tiny-gpt2', name: string): Section => ({
  title: `Losses without a reference of ${name} on the fixed batch`,
  text: `The same eight pairs and policy beside ${trainersAlone}, within the tolerances above. Their cases of \`orpo\` have prompts
of one token: ORPOTrainer takes its cross-entropy over the prompt too, and of such a prompt nothing is predicted.`,
  cases: Object.keys(alone.cases),
  compare: (each) => modelAlone(model, each),
});

function runs(model: keyof typeof traces, name: string): Section {
  return {
    title: `Runs of 20 steps of ${name}`,
    text: `Four pairs a step in the file's order, AdamW; every figure of every step beside what TRL's DPOTrainer logged:
within 0.01 of its value or of its standard deviation over the run, whichever is more. Accuracies within one pair.`,
    cases: Object.keys(traces[model]),
    compare: async (each) => trace(model, each, await short),
  };
}

const long: Section = {
  title: 'The run of 200 steps',
  text: `The tiny Llama on 800 pairs, four a step, learning rate 5e-6, linear, two steps of warm-up: means of each 10 steps
beside those of a run of TRL ${longRun.versions['trl']} (\`test/python/trl_run.py\`; transformers ${longRun.versions['transformers']}, PyTorch ${longRun.versions['torch']}), within 0.01 of the mean or of the figure's standard deviation over the
run, whichever is more. Accuracies step by step, within one pair.`,
  cases: ['sigmoid, 200 steps'],
  compare: async () => longTrace(await goldenRows(`${goldenFolder}/train-800.jsonl.gz`)),
};

export const sections: readonly Section[] = [
  {
    title: "Losses on made-up log-probabilities, beside TRL's",
    text: `Three sets of pairs, also with log-ratios far beyond what training meets. Value, rewards and gradient by every
token: within 1e-6 + 1e-5 of TRL's number + what changes when its float32 sums are off by 2^-22. TRL computes in float32, here
all is float64: where TRL has no number, ours are finite.`,
    cases: Object.keys(unit.cases),
    compare: unitLoss,
    note: { title: 'TRL has no number on', of: (name) => setsWithoutNumber(name).join(', ') },
  },
  {
    title: "Losses beside the papers' formulas",
    text: 'Three pairs worked out in float64; TRL has no `cdpo`. Value within 1e-8, derivative by each answer within 1e-6.',
    cases: workedCases.map(([name]) => name),
    compare: (name) => workedLoss(workedCases.find(([known]) => known === name) as (typeof workedCases)[number]),
  },
  {
    title: 'Losses without a reference on made-up log-probabilities',
    text: `\`simpo\`, \`cpo\` and \`orpo\` beside ${trainersAlone} on four of the sets above, within the same tolerance. \`simpo+sft\`
is CPOTrainer's SimPO with \`cpo_alpha\`.`,
    cases: Object.keys(alone.cases),
    compare: unitAlone,
  },
  modelLosses('tiny', 'the tiny Llama'),
  modelLosses('tiny-gpt2', 'the tiny GPT-2'),
  batchAlone('tiny', 'the tiny Llama'),
  batchAlone('tiny-gpt2', 'the tiny GPT-2'),
  {
    title: 'Models',
    text: `A tiny seeded model of each architecture and setting beside \`transformers\`: the log-probability of every token of
two answers within 1e-4; and its gradient beside PyTorch's, by every weight: norm and two projections within 1e-4 of the norm.`,
    cases: Object.keys(reference.cases),
    compare: (name) => tinyModel(of(reference.cases, name)),
  },
  {
    title: 'Adapters',
    text: `Low-rank adapters that PEFT ${tokenisation.versions['peft']} made on those models: the log-probability of every token of two answers
within 1e-4, and the gradient by the adapter's weights within 1e-4 of its norm, as above.`,
    cases: Object.keys(adapterCases),
    compare: (name) => adapter(of(adapterCases, name)),
  },
  {
    title: "The tiny Llama's whole gradient",
    text: `On the fixed batch, beside TRL's: summed log-probabilities within 2e-4 of float64's, loss within 1e-6 + 1e-5 of it,
chosen reward within 5e-5, relative distance of every weight's gradient within 1e-4.`,
    cases: ['sigmoid'],
    compare: fixedBatch,
  },
  {
    title: 'Tokenisation',
    text: 'Rows that are kept and every token id, before and after truncation: equal. The tokenizer is that of both tiny models.',
    cases: Object.keys(tokenisation.cases),
    compare: (name) => tokenised(of(tokenisation.cases, name)),
  },
  runs('tiny', 'the tiny Llama'),
  runs('tiny-gpt2', 'the tiny GPT-2'),
  {
    title: 'Runs of 20 steps without a reference',
    text: `The tiny Llama on the same rows as texts, for \`orpo\` with prompts of one token, beside what ${trainersAlone}
logged, as above.`,
    cases: Object.keys(alone.traces),
    compare: traceAlone,
  },
  long,
  {
    title: 'bfloat16',
    text: `\`precision: bf16\` beside TRL's DPOTrainer under \`torch.autocast\`: the fixed batch's loss within 2^-8, norm of the
gradient within 2^-7 of it, log-probabilities within 1e-3 of them; the distance of every weight's gradient from float32's at most
1.5 times autocast's; of a run of 20 steps each figure's mean over the last ten within 0.05 of it.`,
    cases: [...Object.keys(autocast.models), 'run of 20 steps'],
    compare: async (name) =>
      name === 'run of 20 steps' ? bf16Trace(await short) : bf16Batch(name as keyof typeof autocast.models),
  },
];
