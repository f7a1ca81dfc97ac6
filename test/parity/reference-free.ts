import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import type { Pair } from '../../trainer-image/data/pair.ts';
import { loadTokenizer } from '../../trainer-image/data/tokenizer.ts';
import { tokenisePreference } from '../../trainer-image/data/tokenise.ts';
import { Learner } from '../../trainer-image/model/learner.ts';
import { goldenFolder, goldenPairs, trainingOf } from '../trainer-image/golden.ts';
import { aloneSettings, type AloneCase, type ModelCase, type UnitNumbers } from '../trainer-image/loss/trl.ts';
import type { Compared, Parts } from './compared.ts';
import { normOf, stepOf, unitNumbers, unitParts } from './losses.ts';
import { shortRun, type TrlRun } from './traces.ts';

type Numbers = Omit<ModelCase, 'args'>;

/** SimPO, CPO and ORPO of TRL's CPOTrainer and ORPOTrainer: made by test/python/reference_free.py. */
export const alone = JSON.parse(gunzipSync(readFileSync(`${goldenFolder}/reference-free.json.gz`)).toString()) as {
  cases: Record<string, AloneCase>;
  unit: Record<string, Record<string, UnitNumbers>>;
  models: Record<'tiny' | 'tiny-gpt2', Record<string, Numbers>>;
  traces: Record<string, TrlRun & AloneCase>;
};

const caseOf = (name: string): AloneCase => alone.cases[name] as AloneCase;

/** A case on made-up log-probabilities, on every set. */
export function unitAlone(name: string): Parts {
  const training = trainingOf(aloneSettings(caseOf(name)));
  const sets = Object.entries(alone.unit[name] as Record<string, UnitNumbers>);
  return unitParts(sets.map(([set, expected]) => unitNumbers({ set, training, alone: true }, expected)));
}

/** ORPOTrainer's cross-entropy is over prompt and answer: of a prompt of one token nothing is predicted. */
const pairsFor = ({ trainer }: AloneCase): Pair[] =>
  trainer === 'orpo' ? goldenPairs.map((pair) => ({ ...pair, prompt: pair.prompt.slice(0, 1) })) : goldenPairs;

/** A case on the fixed batch, of a tiny policy. */
export function modelAlone(model: 'tiny' | 'tiny-gpt2', name: string): Parts {
  const { loss, gradNorm, metrics } = alone.models[model][name] as Numbers;
  const training = trainingOf(aloneSettings(caseOf(name)));
  const policy = new Learner(`${goldenFolder}/${model}-policy`, training);
  const { figures, gradients } = stepOf(policy, pairsFor(caseOf(name)), undefined);
  const near = (own: number | undefined, what: string, tolerance: number): Compared => {
    return { what, own: own as number, theirs: metrics[what] as number, tolerance };
  };
  return {
    loss: [{ what: 'loss', own: figures.loss as number, theirs: loss, tolerance: 1e-6 + 2e-5 * Math.abs(loss) }],
    'gradient norm': [{ what: 'norm', own: normOf(gradients), theirs: gradNorm, tolerance: 1e-4 * gradNorm }],
    rewards: [
      near(figures.rewardChosen, 'rewards/chosen', 2e-4 * training.beta),
      near(figures.rewardRejected, 'rewards/rejected', 2e-4 * training.beta),
      near(figures.rewardMargin, 'rewards/margins', 2e-4 * training.beta),
      near(figures.rewardAccuracy, 'rewards/accuracies', 1e-7),
    ],
  };
}

interface ChatRow {
  prompt: [{ content: string }];
  chosen: [{ content: string }];
  rejected: [{ content: string }];
}

/** The rows of a run as texts, as the script makes them: with their prompts, or for ORPOTrainer with one token for each. */
function textPairs({ trainer }: AloneCase): Pair[] {
  const tokenizer = loadTokenizer(`${goldenFolder}/tokenizer`);
  const lines = readFileSync(`${goldenFolder}/train-80.jsonl`, 'utf8').trim().split('\n');
  const [question, space] = trainer === 'orpo' ? [() => '', ''] : [(row: ChatRow) => row.prompt[0].content, ' '];
  return lines.map((line, at) => {
    const row = JSON.parse(line) as ChatRow;
    const [chosen, rejected] = [space + row.chosen[0].content, space + row.rejected[0].content];
    const tokens = tokenisePreference(
      { prompt: `<|endoftext|>${question(row)}`, chosen, rejected, template: {} },
      tokenizer,
    );
    const [ofChosen, ofRejected] = tokens.completions.map((ids) => Int32Array.from(ids)) as [Int32Array, Int32Array];
    return { row: at + 1, prompt: Int32Array.from(tokens.prompt), chosen: ofChosen, rejected: ofRejected };
  });
}

/** A run of 20 steps. */
export function traceAlone(name: string): Parts {
  const run = alone.traces[name] as TrlRun & AloneCase;
  return shortRun(run, 'tiny', textPairs(run));
}
